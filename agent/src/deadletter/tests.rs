use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const DESTINATION: [u8; 16] = [0xab; 16];

fn open(dir: &TempDir, max_bytes: u64) -> (DeadLetters, Opened) {
    DeadLetters::open(&dir.path().join("deadletters"), &DESTINATION, max_bytes, 0x5a17).unwrap()
}

fn file(dir: &TempDir) -> PathBuf {
    dir.path().join("deadletters").join(file_name(&DESTINATION))
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path().join("deadletters")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn letter(n: u64) -> Letter {
    Letter {
        id: 0,
        key: Key { epoch: [7; 16], n },
        shard: 2,
        raw: format!("{{\"event_id\":\"{n}\"}}").into_bytes(),
        reply: "HTTP 400: no".into(),
        reason: "mapping conflict".into(),
        wall_ms: 1_778_595_781_453,
        attempts: 3,
        edited_ms: None,
    }
}

fn numbers(store: &DeadLetters) -> Vec<u64> {
    let page = store.page(0, usize::MAX).unwrap();
    assert_eq!(page.next_after, None);
    page.letters.iter().map(|letter| letter.key.n).collect()
}

#[test]
fn lesson_29_a_letter_keeps_the_original_bytes_and_the_reason_across_a_restart() {
    let dir = TempDir::new().unwrap();
    let (mut store, opened) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!(opened, Opened::default());
    assert_eq!(store.put(&[letter(4), letter(9)]).unwrap(), Kept::All);
    drop(store);
    let (store, opened) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!(opened, Opened::default());
    assert_eq!(store.find(&letter(9).key).unwrap(), Some(Letter { id: 2, ..letter(9) }));
    assert_eq!(store.letter(1).unwrap(), Some(Letter { id: 1, ..letter(4) }));
    assert_eq!(store.letter(3).unwrap(), None);
    assert_eq!(store.bytes(), fs::metadata(file(&dir)).unwrap().len());
}

#[test]
fn a_letter_is_kept_once_however_often_it_is_put() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    store.put(&[letter(4), letter(4)]).unwrap();
    let bytes = store.bytes();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!(store.put(&[letter(4)]).unwrap(), Kept::All);
    assert_eq!((store.len(), store.bytes()), (1, bytes));
    let other = Letter { key: Key { epoch: [8; 16], n: 4 }, ..letter(4) };
    store.put(&[other]).unwrap();
    assert_eq!(store.len(), 2, "another stream has numbers of its own");
}

#[test]
fn a_full_store_says_how_many_it_kept_and_never_outgrows_its_bound() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, 1000);
    let letters: Vec<Letter> = (1..=20).map(letter).collect();
    let Kept::Full { kept } = store.put(&letters).unwrap() else { panic!("20 letters fit in 1000 bytes") };
    assert!(kept > 3 && kept == store.len());
    assert!(fs::metadata(file(&dir)).unwrap().len() <= 1000);
    // What is kept already needs no room.
    assert_eq!(store.put(&letters[..kept]).unwrap(), Kept::All);
    assert_eq!(store.put(&letters[kept - 1..]).unwrap(), Kept::Full { kept: 1 });
    assert_eq!(store.drop_letters(&HashSet::from([1, 2])).unwrap(), 2);
    assert_eq!(store.put(&letters[kept..kept + 2]).unwrap(), Kept::All);
}

#[test]
fn only_the_agent_reads_the_file() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file(&dir)), mode(&dir.path().join("deadletters"))), (0o600, 0o700));
    store.put(&[letter(1), letter(2)]).unwrap();
    store.drop_letters(&HashSet::from([1])).unwrap();
    assert_eq!(mode(&file(&dir)), 0o600);
}

#[test]
fn pages_go_on_where_they_ended_even_when_letters_are_dropped_between() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    store.put(&(1..=5).map(letter).collect::<Vec<_>>()).unwrap();
    let first = store.page(0, 2).unwrap();
    assert_eq!(first.next_after, Some(2));
    assert_eq!(store.drop_letters(&HashSet::from([2, 3, 77])).unwrap(), 2);
    let rest = store.page(2, 10).unwrap();
    assert_eq!(rest.letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(rest.next_after, None);
    let (mut store, opened) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!((numbers(&store), opened), (vec![1, 4, 5], Opened::default()));
    store.put(&[letter(6)]).unwrap();
    assert_eq!(store.find(&letter(6).key).unwrap().unwrap().id, 6);
}

#[test]
fn a_page_of_large_events_ends_early() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    let large = |n| Letter { raw: vec![b'x'; 3 << 20], ..letter(n) };
    store.put(&[large(1), large(2)]).unwrap();
    let page = store.page(0, 10).unwrap();
    assert_eq!((page.letters.len(), page.next_after), (1, Some(1)));
    assert_eq!(store.page(1, 10).unwrap().letters.len(), 1);
}

#[test]
fn long_replies_are_cut_and_events_never() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    let long = Letter { reply: "é".repeat(9000), reason: "r".repeat(900), raw: vec![1; 300_000], ..letter(1) };
    store.put(&[long]).unwrap();
    let kept = store.letter(1).unwrap().unwrap();
    assert_eq!((kept.reply.len(), kept.reason.len(), kept.raw.len()), (REPLY_MAX, REASON_MAX, 300_000));
    let too_long = Letter { raw: vec![1; stored::STORED_MAX], ..letter(2) };
    assert!(matches!(store.put(&[letter(3), too_long]), Err(StoreError::TooLong { .. })));
    assert_eq!(numbers(&store), [1], "none of a put that failed");
}

#[test]
fn a_put_that_a_power_cut_tore_leaves_what_was_kept_before_and_is_no_damage() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    store.put(&[letter(1)]).unwrap();
    store.put(&[letter(2)]).unwrap();
    let durable = store.bytes() as usize;
    store.put(&[letter(3), letter(4)]).unwrap();
    let whole = fs::read(file(&dir)).unwrap();
    for cut in durable..whole.len() {
        for zeros in [0, 100] {
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            fs::write(file(&dir), torn).unwrap();
            let (mut store, opened) = open(&dir, MAX_BYTES_DEFAULT);
            assert_eq!((opened.damaged, opened.newer), (None, None), "cut at {cut}");
            assert_eq!(numbers(&store)[..2], [1, 2], "cut at {cut}");
            store.put(&[letter(3), letter(4), letter(5)]).unwrap();
            drop(store);
            let (store, opened) = open(&dir, MAX_BYTES_DEFAULT);
            assert_eq!((numbers(&store), opened), (vec![1, 2, 3, 4, 5], Opened::default()), "cut at {cut}");
        }
    }
}

#[test]
fn of_a_torn_put_a_later_letter_may_be_whole_and_the_hole_is_closed() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    store.put(&[letter(1)]).unwrap();
    let hole = store.bytes() as usize;
    store.put(&[letter(2), letter(3)]).unwrap();
    let mut torn = fs::read(file(&dir)).unwrap();
    torn[hole..hole + 40].fill(0);
    fs::write(file(&dir), torn).unwrap();
    let (mut store, opened) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!((numbers(&store), opened.damaged), (vec![1, 3], None));
    store.put(&[letter(2)]).unwrap();
    let (store, opened) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!((numbers(&store), opened), (vec![1, 3, 2], Opened::default()));
}

#[test]
fn lesson_01_a_damaged_file_is_kept_aside_and_the_letters_that_can_be_read_go_on() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    for n in 1..=4 {
        store.put(&[letter(n)]).unwrap();
    }
    for round in 1..=3 {
        let (store, _) = open(&dir, MAX_BYTES_DEFAULT);
        let offset = store.places[1].offset + 20;
        let damaged_n = store.letter(store.places[1].id).unwrap().unwrap().key.n;
        drop(store);
        let mut bytes = fs::read(file(&dir)).unwrap();
        bytes[offset as usize] ^= 1;
        fs::write(file(&dir), &bytes).unwrap();
        let (mut store, opened) = open(&dir, MAX_BYTES_DEFAULT);
        let aside = opened.damaged.unwrap();
        assert_eq!(fs::read(&aside).unwrap(), bytes);
        assert!(aside.to_str().unwrap().ends_with(&format!(".dl.damaged-{round}")));
        assert_eq!(names(&dir).len(), 2, "one damaged file at most: {:?}", names(&dir));
        assert!(!numbers(&store).contains(&damaged_n) && store.len() == 3);
        // The letter that a later one proves to have been durable.
        store.put(&[letter(100 + round)]).unwrap();
    }
}

#[test]
fn a_file_without_a_header_begins_again_and_one_of_a_newer_version_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    store.put(&[letter(1)]).unwrap();
    fs::write(file(&dir), b"what?").unwrap();
    let (mut store, opened) = open(&dir, MAX_BYTES_DEFAULT);
    assert!(opened.damaged.is_some() && store.is_empty());
    store.put(&[letter(1)]).unwrap();

    let mut newer = fs::read(file(&dir)).unwrap();
    newer[8] = 3;
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&newer[..12]);
    checksum.update(&newer[16..24]);
    newer[12..16].copy_from_slice(&checksum.finalize().to_le_bytes());
    fs::write(file(&dir), &newer).unwrap();
    let (mut store, opened) = open(&dir, MAX_BYTES_DEFAULT);
    let (aside, version) = opened.newer.unwrap();
    assert_eq!((fs::read(aside).unwrap(), version), (newer, 3));
    assert_eq!(store.put(&[letter(1)]).unwrap(), Kept::All);
}

#[test]
fn after_a_sync_that_failed_nothing_is_believed_and_all_is_written_again() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    store.put(&[letter(1)]).unwrap();
    store.sync = |_| Err(io::Error::from_raw_os_error(5));
    assert!(matches!(store.put(&[letter(2)]), Err(StoreError::Disk { .. })));
    assert_eq!(numbers(&store), [1]);
    store.sync = File::sync_data;
    let before = std::os::unix::fs::MetadataExt::ino(&store.file.metadata().unwrap());
    assert_eq!(store.put(&[letter(3)]).unwrap(), Kept::All);
    let after = std::os::unix::fs::MetadataExt::ino(&fs::metadata(file(&dir)).unwrap());
    assert_ne!(before, after, "the file whose sync failed is not used again");
    assert_eq!(numbers(&store), [1, 3]);
    drop(store);
    assert_eq!(numbers(&open(&dir, MAX_BYTES_DEFAULT).0), [1, 3]);
}

#[test]
fn an_event_that_looks_like_a_letter_is_never_taken_for_one() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    let mut body = Vec::new();
    stored::encode(&Letter { id: 900, ..letter(666) }, &mut body).unwrap();
    // A frame for each place in eight where it may come to lie, made without the salt.
    let mut raw = Vec::new();
    for shift in 0..8 {
        raw.resize(raw.len().next_multiple_of(8) + shift, 0);
        push_frame(0, HEADER_BYTES, &body, &mut raw);
    }
    store.put(&[Letter { raw, ..letter(1) }]).unwrap();
    store.put(&[letter(2)]).unwrap();
    let mut bytes = fs::read(file(&dir)).unwrap();
    bytes[HEADER_BYTES as usize + 4] ^= 1;
    fs::write(file(&dir), bytes).unwrap();
    let (store, opened) = open(&dir, MAX_BYTES_DEFAULT);
    assert!(opened.damaged.is_some());
    assert_eq!(numbers(&store), [2]);
}

#[test]
fn the_bytes_of_the_format_stay_what_they_are() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    store.put(&[letter(4)]).unwrap();
    let hex: String = fs::read(file(&dir)).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN);
}

#[test]
fn whose_letters_there_are_is_known_without_reading_any_and_follows_every_change() {
    fn tenants(store: &DeadLetters) -> Vec<Option<&str>> {
        let mut tenants: Vec<Option<&str>> = store.tenants().collect();
        tenants.sort_unstable();
        tenants
    }
    let of = |n, tenant: &str| {
        let raw = format!(
            "{{\"event_id\":\"e\",\"timestamp\":\"2026-03-14T09:26:53Z\",\"tenant_id\":\"{tenant}\",\
             \"category\":\"C\",\"action\":\"a\",\"severity\":\"info\"}}"
        );
        Letter { raw: raw.into_bytes(), ..letter(n) }
    };
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!(tenants(&store), []);
    store.put(&[of(1, "acme"), of(2, "acme"), of(3, "globex")]).unwrap();
    assert_eq!(tenants(&store), [Some("acme"), Some("globex")]);
    store.sync = |_| Err(io::Error::from_raw_os_error(5));
    assert!(store.put(&[of(4, "other")]).is_err());
    assert_eq!(tenants(&store), [Some("acme"), Some("globex")], "what was not kept is nobody's");
    store.sync = File::sync_data;
    store.put(&[letter(5)]).unwrap();
    drop(store);

    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!(tenants(&store), [None, Some("acme"), Some("globex")], "what can't be read is nobody's");
    store.drop_letters(&HashSet::from([1, 3])).unwrap();
    assert_eq!(tenants(&store), [None, Some("acme")]);
    store.edit(2, b"{}".to_vec(), 9).unwrap();
    assert_eq!(tenants(&store), [None]);
    store.edit(2, of(2, "globex").raw, 9).unwrap();
    fs::write(file(&dir), b"").unwrap();
    assert!(store.letter(2).is_err());
    assert_eq!(tenants(&store), [None, Some("globex")]);
}

#[test]
fn an_edited_event_is_durable_and_keeps_its_number_and_its_place_among_the_others() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    store.put(&(1..=3).map(letter).collect::<Vec<_>>()).unwrap();
    let edited = Letter { id: 2, raw: b"{\"longer\":true}".to_vec(), edited_ms: Some(5), ..letter(2) };
    assert_eq!(store.edit(2, edited.raw.clone(), 5).unwrap(), Some(edited.clone()));
    assert_eq!(store.edit(77, b"{}".to_vec(), 5).unwrap(), None);
    store.put(&[letter(2), letter(4)]).unwrap();
    assert_eq!(numbers(&store), [1, 2, 3, 4], "an edited letter is still kept once");
    drop(store);
    let (store, opened) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!((store.find(&letter(2).key).unwrap(), opened), (Some(edited), Opened::default()));
    assert_eq!((numbers(&store), store.newest()), (vec![1, 2, 3, 4], 4));
}

#[test]
fn an_edit_that_finds_no_room_or_no_disk_leaves_the_letter_as_it_was() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, 300);
    store.put(&[letter(1), letter(2)]).unwrap();
    assert!(matches!(store.edit(1, vec![b'x'; 200], 5), Err(StoreError::NoRoom { max_bytes: 300, .. })));
    // A folder has the name that the fresh file needs.
    let obstacle = beside(&file(&dir), "new");
    fs::create_dir(&obstacle).unwrap();
    assert!(matches!(store.edit(1, b"{}".to_vec(), 5), Err(StoreError::Disk { .. })));
    assert!(matches!(store.drop_letters(&HashSet::from([1])), Err(StoreError::Disk { .. })));
    assert_eq!(store.letter(1).unwrap(), Some(Letter { id: 1, ..letter(1) }));
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(store.edit(1, b"{}".to_vec(), 5).unwrap().map(|letter| letter.raw), Some(b"{}".to_vec()));
    assert_eq!(numbers(&open(&dir, 300).0), [1, 2]);
}

#[test]
fn of_letters_that_were_sent_again_those_taken_are_dropped_and_the_others_keep_the_newest_reply() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
    store.put(&[letter(4), letter(5), letter(6), letter(7)]).unwrap();
    store.edit(4, b"{}".to_vec(), 5).unwrap();
    let tried = |n, fate| Tried { key: letter(n).key, edited_ms: None, fate };
    let gone = Tried { key: Key { epoch: [9; 16], n: 1 }, edited_ms: None, fate: Ok(()) };
    let refused = Err("HTTP 400: still no".to_owned());
    store.tried(&[tried(4, Ok(())), tried(6, refused), tried(7, Ok(())), gone], 7).unwrap();
    drop(store);
    let (store, _) = open(&dir, MAX_BYTES_DEFAULT);
    assert_eq!(numbers(&store), [5, 6, 7], "the last one was edited after it was sent");
    let words = "HTTP 400: still no".to_owned();
    let again = Letter { id: 3, reply: words.clone(), reason: words, wall_ms: 7, attempts: 4, ..letter(6) };
    assert_eq!(store.find(&letter(6).key).unwrap(), Some(again));
    assert_eq!(store.find(&letter(5).key).unwrap(), Some(Letter { id: 2, ..letter(5) }));
}

#[test]
fn a_file_of_the_first_version_is_read_as_it_is_and_written_anew_by_the_first_change() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir, MAX_BYTES_DEFAULT));
    let first: Vec<u8> =
        (0..GOLDEN_1.len()).step_by(2).map(|at| u8::from_str_radix(&GOLDEN_1[at..at + 2], 16).unwrap()).collect();
    let kept = Some(Letter { id: 1, ..letter(4) });
    let changes: [fn(&mut DeadLetters); 3] = [
        |store| assert_eq!(store.put(&[letter(5)]).unwrap(), Kept::All),
        |store| assert!(store.edit(1, b"{}".to_vec(), 9).unwrap().is_some()),
        |store| assert_eq!(store.drop_letters(&HashSet::from([1])).unwrap(), 1),
    ];
    for (change, left) in changes.into_iter().zip([vec![4, 5], vec![4], vec![]]) {
        fs::write(file(&dir), &first).unwrap();
        let look = DeadLetters::look(&dir.path().join("deadletters"), &DESTINATION).unwrap().unwrap();
        assert_eq!(look.store().letter(1).unwrap(), kept);
        let (mut store, opened) = open(&dir, MAX_BYTES_DEFAULT);
        assert_eq!((store.letter(1).unwrap(), opened), (kept.clone(), Opened::default()));
        assert_eq!(fs::read(file(&dir)).unwrap(), first, "opening asks for no room on the disk");
        change(&mut store);
        assert_eq!((numbers(&store), fs::read(file(&dir)).unwrap()[8]), (left.clone(), 2));
        let (store, opened) = open(&dir, MAX_BYTES_DEFAULT);
        assert_eq!((numbers(&store), opened), (left, Opened::default()));
    }
}

#[test]
fn the_store_moves_to_a_helper_thread() {
    fn is_send<T: Send>() {}
    is_send::<DeadLetters>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_bytes_keep_the_store_from_opening_and_no_letter_is_invented(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        len in any::<prop::sample::Index>(),
        cuts: bool,
    ) {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
        for n in 1..=5 {
            store.put(&[letter(n)]).unwrap();
        }
        let mut bytes = fs::read(file(&dir)).unwrap();
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if cuts {
            bytes.truncate(len.index(bytes.len()));
        }
        fs::write(file(&dir), bytes).unwrap();
        let (mut store, _) = open(&dir, MAX_BYTES_DEFAULT);
        for kept in store.page(0, 100).unwrap().letters {
            prop_assert_eq!(&kept, &Letter { id: kept.id, ..letter(kept.key.n) });
        }
        let before = store.len();
        store.put(&[letter(77)]).unwrap();
        let (store, opened) = open(&dir, MAX_BYTES_DEFAULT);
        prop_assert_eq!((store.len(), opened), (before + 1, Opened::default()));
    }
}

const GOLDEN: &str = concat!(
    "53445349454d444c02000000fe4e6a93175a0000000000004d0000000799f0e4180000000000000001070707",
    "070707070707070707070707070402107b226576656e745f6964223a2234227d0c48545450203430303a206e",
    "6f106d617070696e6720636f6e666c696374fd9ab623393c0300000300000000",
);
/// The same letter as version 1 wrote it.
const GOLDEN_1: &str = concat!(
    "53445349454d444c010000000e9cf4e4175a0000000000004c000000b334f9a6180000000000000001070707",
    "070707070707070707070707070402107b226576656e745f6964223a2234227d0c48545450203430303a206e",
    "6f106d617070696e6720636f6e666c696374fd9ab623393c0300000300000000",
);
