//! The points in the code of processes that the world knows by name: rare states (`sometimes`) and fault points
//! (`buggify`).
//!
//! Each fault point of each host has dice of its own, so that another one, or one more, changes nothing for the rest.

use crate::dice::{Dice, Stream};
use crate::events::EventKind;
use crate::kernel::Kernel;
use crate::world::{Host, World};
use std::collections::BTreeMap;

/// Room for names that are found at once; a power of two.
const NEAR: usize = 64;

/// The fault points of a host.
pub(crate) struct Points {
    /// Probabilities by name, as they were set.
    chances: BTreeMap<String, f64>,
    /// Those that were reached.
    reached: Vec<Point>,
    /// Their places in `reached`, by where a name lies in memory and how long it is: tasks come by so often that
    /// comparing names is too slow. A name may lie in memory more than once.
    places: BTreeMap<(usize, usize), usize>,
    /// Some of those once more, where a name's address points to.
    near: [((usize, usize), usize); NEAR],
}

struct Point {
    name: &'static str,
    chance: f64,
    dice: Dice,
    fired: u64,
}

impl Default for Points {
    fn default() -> Points {
        let (chances, places) = (BTreeMap::new(), BTreeMap::new());
        Points { chances, reached: Vec::new(), places, near: [((0, 0), 0); NEAR] }
    }
}

impl Points {
    fn set(&mut self, chances: BTreeMap<String, f64>) {
        for point in &mut self.reached {
            point.chance = chances.get(point.name).copied().unwrap_or(0.0);
        }
        self.chances = chances;
    }

    fn point(&mut self, seed: u64, host: u32, name: &'static str) -> &mut Point {
        let key = (name.as_ptr().addr(), name.len());
        let slot = (key.0 / 4) % NEAR;
        if self.near[slot].0 == key {
            return &mut self.reached[self.near[slot].1];
        }
        let place = *self.places.entry(key).or_insert_with(|| {
            let known = self.reached.iter().position(|point| point.name == name);
            known.unwrap_or_else(|| {
                let chance = self.chances.get(name).copied().unwrap_or(0.0);
                let dice = Dice::new(seed, Stream::Point(host, name));
                self.reached.push(Point { name, chance, dice, fired: 0 });
                self.reached.len() - 1
            })
        });
        self.near[slot] = (key, place);
        &mut self.reached[place]
    }
}

impl World {
    /// With which probability each fault point of a host fires from now on, by its name; those that are not named do
    /// not.
    pub fn set_fault_points(&self, host: Host, probabilities: BTreeMap<String, f64>) {
        self.shared.with(|kernel| kernel.host(host.0).points.set(probabilities));
    }

    /// How often each fault point fired; 0 for those that were only reached.
    pub fn fault_points(&self) -> BTreeMap<&'static str, u64> {
        self.shared.with(|kernel| {
            let mut fired = BTreeMap::new();
            for point in kernel.hosts.iter().flat_map(|host| &host.points.reached) {
                *fired.entry(point.name).or_default() += point.fired;
            }
            fired
        })
    }
}

impl Kernel {
    pub fn sometimes(&mut self, host: u32, point: &'static str) {
        *self.sometimes.entry(point).or_default() += 1;
        self.record(EventKind::Sometimes { host, point });
        self.reached(host, point);
    }

    /// A random number if the point fires.
    pub fn fault_point(&mut self, host: u32, name: &'static str) -> Option<u64> {
        let seed = self.seed;
        let point = self.host(host).points.point(seed, host, name);
        let drawn = point.dice.chance(point.chance).then(|| point.dice.u64());
        if drawn.is_some() {
            point.fired += 1;
            self.effect("fault point");
            self.record(EventKind::FaultPoint { host, point: name });
        }
        self.reached(host, name);
        drawn
    }
}
