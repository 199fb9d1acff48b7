//! A map keyed by tenants' hashes, which are hashes already: it takes them as they come.
//!
//! The hash is no defence against chosen collisions ([`scaidrive_codecs::tenant_hash`]); every such map is bounded, and
//! tenants' ids are given out by ScaiDrive, not by whoever writes events.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Values by tenant hash.
pub type TenantMap<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

/// A hasher that hands out the number it is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
