//! What a disk holds at a moment: to be put back later, or to look at everything that a power failure at that moment
//! could leave.

use crate::content::{Change, Content, Fate};
use crate::names::Names;
use std::collections::BTreeMap;

/// What a disk holds, what is durable of it, and what is not.
#[derive(Clone)]
pub struct DiskImage {
    /// Whose disk it was.
    pub(crate) host: u32,
    pub(crate) files: BTreeMap<u64, Content>,
    pub(crate) names: Names,
}

impl DiskImage {
    /// Number of changes that are not durable: writes, changes of length, changes of names.
    pub fn unsynced(&self) -> usize {
        self.names.unsynced() + self.files.values().map(Content::unsynced).sum::<usize>()
    }

    /// Every disk that a power failure at this moment could leave, as far as its last `changes_max` unsynced changes go:
    /// each of those kept or lost on its own, and the last write also torn, within and between sectors. Earlier changes
    /// are kept. The number of images doubles with each change.
    ///
    /// The order of changes of different files is not known: files come in the order of their creation, names last.
    pub fn crash_states(&self, changes_max: usize) -> impl Iterator<Item = DiskImage> + use<> {
        let unsynced = self.unsynced();
        let free = unsynced.min(changes_max).min(usize::BITS as usize - 1);
        let image = self.clone();
        let tears = image.tears();
        (0..1_usize << free).flat_map(move |choice| {
            // The first bit is for the first of the changes that are free.
            let kept = move |nth: usize| nth + free < unsynced || choice >> (nth + free - unsynced) & 1 == 1;
            let states = std::iter::once(image.settled(&kept, None));
            let torn: Vec<_> = match &tears {
                // In the states without the last write, parts of it.
                Some((nth, fates)) if !kept(*nth) => {
                    fates.iter().map(|fate| image.settled(&kept, Some((*nth, fate)))).collect()
                }
                _ => Vec::new(),
            };
            states.chain(torn)
        })
    }

    /// The last write among the changes, by its number, and the ways in which it can be torn.
    fn tears(&self) -> Option<(usize, Vec<Fate>)> {
        let changes = self.files.values().flat_map(Content::changes);
        let writes = changes.enumerate().filter_map(|(nth, change)| match change {
            Change::Write(offset, data) => Some((nth, crate::content::tears(*offset, data.len()))),
            Change::SetLen(_) => None,
        });
        writes.last()
    }

    /// After a power failure: of the changes by their numbers those are kept that `kept` says, one has another fate.
    fn settled(&self, kept: &impl Fn(usize) -> bool, other: Option<(usize, &Fate)>) -> DiskImage {
        let mut image = self.clone();
        let mut next = 0..;
        let mut number = || next.next().unwrap_or_default();
        for content in image.files.values_mut() {
            content.lose(|_| {
                let nth = number();
                match other {
                    Some((other, fate)) if other == nth => fate.clone(),
                    _ if kept(nth) => Fate::Whole,
                    _ => Fate::Lost,
                }
            });
        }
        image.names.lose(|| kept(number()));
        image
    }
}
