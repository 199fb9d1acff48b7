//! Which field a key names: one look at sixteen bytes and one at a table, whatever the order of keys.
//!
//! What is always true: the answer is that of [`Field::from_name`]. A name and its zeros are one number, and [`slot_of`]
//! has a slot for each name that no other name has; the compiler checks that.

use crate::event::Field;

/// The field that the key at `start..end` names. There are no zero bytes in a key.
#[inline(always)]
pub(super) fn field(raw: &[u8], start: usize, end: usize) -> Option<Field> {
    let Some(window) = raw.get(start..).and_then(|rest| rest.first_chunk()) else {
        return near_the_end(&raw[start..end]);
    };
    let word = u128::from_le_bytes(*window) & MASKS.get(end - start)?;
    let slot = &SLOTS[slot_of(word)];
    (slot.word == word).then_some(slot.field)
}

/// Nothing but a short key so late in an event has less than sixteen bytes from its beginning to the event's end.
#[inline(never)]
fn near_the_end(name: &[u8]) -> Option<Field> {
    Field::from_name(name)
}

#[derive(Clone, Copy)]
struct Slot {
    word: u128,
    field: Field,
}

const SLOTS: [Slot; SLOT_COUNT] = {
    let mut slots = [Slot { word: NO_NAME, field: Field::EventId }; SLOT_COUNT];
    let mut nth = 0;
    while nth < Field::COUNT {
        let field = Field::ALL[nth];
        let word = word_of(field.name().as_bytes());
        let slot = &mut slots[slot_of(word)];
        assert!(slot.word == NO_NAME, "every name has a slot of its own");
        *slot = Slot { word, field };
        nth += 1;
    }
    slots
};

/// For each length of a name the bytes of the window that are the name.
const MASKS: [u128; WINDOW] = {
    let mut masks = [0; WINDOW];
    let mut length = 1;
    while length < WINDOW {
        masks[length] = u128::MAX >> (8 * (WINDOW - length));
        length += 1;
    }
    masks
};

const fn word_of(name: &[u8]) -> u128 {
    assert!(name.len() < WINDOW);
    let mut bytes = [0; WINDOW];
    let (start, _) = bytes.split_at_mut(name.len());
    start.copy_from_slice(name);
    u128::from_le_bytes(bytes)
}

const fn slot_of(word: u128) -> usize {
    let folded = word as u64 ^ (word >> 64) as u64;
    (folded.wrapping_mul(SPREAD) >> (u64::BITS - SLOT_COUNT.ilog2())) as usize
}

/// Bytes that are looked at; every name is shorter.
const WINDOW: usize = 16;
const SLOT_COUNT: usize = 16;
/// Found by trying: the first random number that gives each name a slot of its own.
const SPREAD: u64 = 0x1cfd_5dbd_2931_c90b;
/// The last byte of a name's word is zero.
const NO_NAME: u128 = u128::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn keys() -> impl Strategy<Value = String> {
        let name = select(&Field::ALL[..]).prop_map(|field| field.name().to_owned());
        let spoilt = (name.clone(), any::<prop::sample::Index>(), "[!-~]?").prop_map(|(mut name, place, by)| {
            let at = place.index(name.len());
            name.replace_range(at..at + 1, &by);
            name
        });
        prop_oneof![3 => name, 3 => spoilt, 1 => "[a-z_]{0,20}"]
    }

    proptest! {
        #[test]
        fn a_key_names_what_the_table_of_fields_says(key in keys(), before in "[!-~]{0,3}", after in "[!-~]{0,20}") {
            let raw = format!("{before}{key}{after}");
            let found = field(raw.as_bytes(), before.len(), before.len() + key.len());
            prop_assert_eq!(found, Field::from_name(key.as_bytes()));
        }
    }
}
