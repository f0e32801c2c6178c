//! The points in the code of processes that the world knows by name: rare states (`sometimes`) and fault points
//! (`buggify`).
//!
//! Each fault point of each host has dice of its own, so that another one, or one more, changes nothing for the rest.

use crate::dice::{Dice, Stream};
use crate::events::EventKind;
use crate::kernel::Kernel;
use crate::world::{Host, World};
use std::collections::BTreeMap;

impl World {
    /// With which probability each fault point of a host fires from now on, by its name; those that are not named do
    /// not.
    pub fn set_fault_points(&self, host: Host, probabilities: BTreeMap<String, f64>) {
        self.shared.with(|kernel| kernel.host(host.0).fault_points = probabilities);
    }
}

impl Kernel {
    pub fn sometimes(&mut self, host: u32, point: &'static str) {
        *self.sometimes.entry(point).or_default() += 1;
        self.record(EventKind::Sometimes { host, point });
        self.reached(host, point);
    }

    /// A random number if the point fires.
    pub fn fault_point(&mut self, host: u32, point: &'static str) -> Option<u64> {
        let seed = self.seed;
        self.fired.entry(point).or_default();
        let state = self.host(host);
        let chance = state.fault_points.get(point).copied().unwrap_or(0.0);
        let mut drawn = None;
        if chance > 0.0 {
            let new = || Dice::new(seed, Stream::Point(host, point));
            let dice = state.point_dice.entry(point).or_insert_with(new);
            drawn = dice.chance(chance).then(|| dice.u64());
        }
        if drawn.is_some() {
            *self.fired.entry(point).or_default() += 1;
            self.effect("fault point");
            self.record(EventKind::FaultPoint { host, point });
        }
        self.reached(host, point);
        drawn
    }
}
