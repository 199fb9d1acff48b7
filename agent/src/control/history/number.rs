//! A number in two bytes, to a thousandth of itself.
//!
//! | bits | meaning |
//! |---|---|
//! | 15..10 | exponent: 0 for a number below 1,024, which stands in the other bits |
//! | 9..0 | what follows the leading 1 |
//!
//! All ones is no number: no 64-bit integer has that exponent.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(u16);

impl Number {
    /// Not known.
    pub(super) const NONE: Number = Number(u16::MAX);

    /// The nearest number that is not larger.
    pub(super) fn of(value: u64) -> Number {
        let Some(shift) = value.checked_ilog2().and_then(|log| log.checked_sub(BITS)) else {
            return Number(value as u16);
        };
        // The leading one is what the exponent says.
        let rest = (value >> shift) & MASK;
        Number((((shift as u16) + 1) << BITS) | rest as u16)
    }

    pub(super) fn value(self) -> Option<u64> {
        let rest = u64::from(self.0) & MASK;
        match u32::from(self.0 >> BITS) {
            _ if self == Number::NONE => None,
            0 => Some(rest),
            exponent => Some((rest | (MASK + 1)) << (exponent - 1)),
        }
    }
}

const BITS: u32 = 10;
const MASK: u64 = (1 << BITS) - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_numbers_are_exact_and_the_largest_fits() {
        for value in 0..=2048 {
            assert_eq!(Number::of(value).value(), Some(value));
        }
        assert!(Number::of(u64::MAX).value().is_some_and(|value| value > u64::MAX / 1000 * 999));
        assert_eq!(Number::NONE.value(), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back_to_a_thousandth(bits in 0..64_u32, value: u64) {
            let value = value >> bits;
            let back = Number::of(value).value().unwrap();
            prop_assert!(back <= value && value - back <= value / 1000, "{value} came back as {back}");
        }
    }
}
