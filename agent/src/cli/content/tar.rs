//! An archive of text files, in POSIX's ustar format ("pax", section "ustar Interchange Format").
//!
//! | offset | size | field | here |
//! |-------:|-----:|-------|------|
//! |   0 | 100 | name | the path |
//! | 100 |   8 | mode | 0644 |
//! | 108 |  16 | uid, gid | 0 |
//! | 124 |  12 | size | in bytes, octal |
//! | 136 |  12 | mtime | 0: the same content is the same archive |
//! | 148 |   8 | chksum | sum of the header's bytes, with spaces in its own place |
//! | 156 |   1 | typeflag | `0`, a file |
//! | 257 |   8 | magic, version | `ustar`, `00` |
//!
//! Header and content fill whole blocks of 512 bytes each; two empty blocks end the archive. Folders are not entries of
//! their own: whoever unpacks makes them.

use crate::content::File;

const BLOCK: usize = 512;
const NAME_MAX: usize = 100;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// The archive with these files.
pub(super) fn archive(files: &[File]) -> Vec<u8> {
    let mut archive = Vec::new();
    for file in files {
        archive.extend_from_slice(&header(file));
        archive.extend_from_slice(file.text.as_bytes());
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn header(file: &File) -> [u8; BLOCK] {
    // The paths are this program's own.
    assert!(file.path.len() < NAME_MAX);
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, file.path.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", file.text.len()).as_bytes());
    put(136, b"00000000000\0");
    put(CHECKSUM.start, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const FILES: [File; 3] = [
        File { path: "README.md", text: "# é\n" },
        File { path: "a/b/c.json", text: "{}" },
        File { path: "empty", text: "" },
    ];

    #[test]
    fn an_archive_has_the_shape_that_the_standard_gives_it() {
        let archive = archive(&FILES);
        assert_eq!(archive.len(), (2 + 2 + 1 + 2) * BLOCK);
        assert_eq!(&archive[..9], b"README.md");
        assert_eq!(&archive[124..136], b"00000000005\0");
        assert_eq!(&archive[257..265], b"ustar\x0000");
        assert_eq!(&archive[BLOCK..BLOCK + 6], "# é\n\0".as_bytes());
        assert_eq!(&archive[2 * BLOCK..2 * BLOCK + 10], b"a/b/c.json");
        assert!(archive[5 * BLOCK..].iter().all(|byte| *byte == 0));
    }

    /// Every machine that this is built on has a tar; what it says of the checksum counts.
    #[test]
    fn tar_unpacks_it_to_the_same_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("content.tar");
        std::fs::write(&path, archive(&FILES)).unwrap();
        let mut tar = Command::new("tar");
        let said = tar.arg("-xf").arg(&path).arg("-C").arg(directory.path()).output().unwrap();
        assert!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
        for file in FILES {
            assert_eq!(std::fs::read_to_string(directory.path().join(file.path)).unwrap(), file.text);
        }
    }
}
