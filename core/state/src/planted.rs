//! The planted bugs of a run. They are no part of the replicated state: equal states stay equal whoever carries them.

use std::hash::{Hash, Hasher};
use synod_types::{Mutant, Mutants};

/// Switches, and what one of them needs.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    pub mutants: Mutants,
    /// Which member this is; only `StateLocalClock` looks.
    pub member: u8,
    /// The newest cluster version that its program supports; only `StateVersionUngated` looks.
    pub supported: u32,
}

impl Planted {
    pub fn on(self, mutant: Mutant) -> bool {
        self.mutants.on(mutant)
    }
}

impl PartialEq for Planted {
    fn eq(&self, _: &Planted) -> bool {
        true
    }
}

impl Eq for Planted {}

impl Hash for Planted {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
