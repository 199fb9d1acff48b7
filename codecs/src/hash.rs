//! One stable 64-bit hash: FNV-1a over the bytes, then the finalising mix of MurmurHash3.
//!
//! FNV-1a alone spreads short, similar names badly over a few shards; the mix repairs that. The result is stored on
//! disk, so neither half may ever change. It is no defence against chosen collisions: whoever compares hashes must
//! confirm on the text.

/// A running hash. Feeding bytes in one call or in many gives the same result.
#[derive(Clone, Copy)]
pub(crate) struct Hasher(u64);

impl Hasher {
    pub(crate) fn new() -> Hasher {
        Hasher(FNV_OFFSET)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    /// Feeds a text and its length, so that no two lists of texts look alike.
    pub(crate) fn write_text(&mut self, text: &str) {
        self.write(&(text.len() as u64).to_le_bytes());
        self.write(text.as_bytes());
    }

    /// Feeds a named list of texts; their order and repetition make no difference.
    pub(crate) fn write_list(&mut self, name: &str, entries: &[String]) {
        let mut entries: Vec<&String> = entries.iter().collect();
        entries.sort_unstable();
        entries.dedup();
        self.write_text(name);
        self.write(&(entries.len() as u64).to_le_bytes());
        entries.iter().for_each(|entry| self.write_text(entry));
    }

    pub(crate) fn finish(self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        mixed ^ (mixed >> 33)
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
