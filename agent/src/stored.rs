//! What the agent stores in bincode, and the only file that knows how.
//!
//! Standard configuration (little-endian, variable-length integers), whole input used, and a limit on what a
//! decoder may take, so that damaged bytes can't ask for memory. Callers keep the bytes under a checksum.

pub use bincode::{Decode, Encode};

/// The longest body that is written or read, in bytes.
pub const STORED_MAX: usize = 8 << 20;

/// Appends `value` to `out`.
///
/// # Errors
/// `StoredError::TooLong` when the body would be longer than [`STORED_MAX`]; `out` is then as it was.
pub fn encode<T: Encode>(value: &T, out: &mut Vec<u8>) -> Result<(), StoredError> {
    let before = out.len();
    let written = match bincode::encode_into_std_write(value, out, config()) {
        Ok(len) if len > STORED_MAX => Err(StoredError::TooLong { len }),
        Ok(_) => Ok(()),
        Err(source) => Err(StoredError::Encode { source }),
    };
    if written.is_err() {
        out.truncate(before);
    }
    written
}

/// The value that `bytes` hold, all of them.
///
/// # Errors
/// When the bytes are no such value, when bytes are left over, or when the value claims more than [`STORED_MAX`].
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, StoredError> {
    let (value, used) = bincode::decode_from_slice(bytes, config()).map_err(|source| StoredError::Decode { source })?;
    if used != bytes.len() {
        return Err(StoredError::LeftOver { bytes: bytes.len() - used });
    }
    Ok(value)
}

/// Why a body could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// The value could not be written.
    #[error("a value cannot be encoded")]
    Encode {
        /// What bincode said.
        source: bincode::error::EncodeError,
    },
    /// The bytes are not such a value.
    #[error("stored bytes are not what they should be")]
    Decode {
        /// What bincode said.
        source: bincode::error::DecodeError,
    },
    /// The value ends before the bytes do.
    #[error("{bytes} stored bytes are left over")]
    LeftOver {
        /// How many.
        bytes: usize,
    },
    /// The value is too long to be stored.
    #[error("a value of {len} bytes is longer than the {STORED_MAX} that are stored")]
    TooLong {
        /// Its length.
        len: usize,
    },
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<STORED_MAX>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    struct Sample {
        number: u64,
        text: String,
        list: Vec<(u64, u64)>,
    }

    proptest! {
        #[test]
        fn what_is_stored_reads_back(number: u64, text: String, list: Vec<(u64, u64)>) {
            let sample = Sample { number, text, list };
            let mut bytes = vec![7];
            encode(&sample, &mut bytes).unwrap();
            prop_assert_eq!(bytes[0], 7);
            prop_assert_eq!(decode::<Sample>(&bytes[1..]).unwrap(), sample);
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes: Vec<u8>) {
            let _ = decode::<Sample>(&bytes);
        }
    }

    #[test]
    fn left_over_bytes_are_an_error() {
        let mut bytes = Vec::new();
        encode(&5u64, &mut bytes).unwrap();
        bytes.push(0);
        assert!(matches!(decode::<u64>(&bytes), Err(StoredError::LeftOver { bytes: 1 })));
    }

    #[test]
    fn a_length_that_claims_more_than_the_limit_is_refused_before_memory_is_taken() {
        // 253 announces a 64-bit length: here 2^60 bytes.
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1u64 << 60).to_le_bytes());
        assert!(matches!(decode::<Vec<u8>>(&bytes), Err(StoredError::Decode { .. })));
    }

    #[test]
    fn a_value_over_the_limit_is_not_written() {
        let mut out = vec![1, 2];
        let error = encode(&vec![0u8; STORED_MAX + 1], &mut out);
        assert!(matches!(error, Err(StoredError::TooLong { .. })));
        assert_eq!(out, [1, 2]);
    }
}
