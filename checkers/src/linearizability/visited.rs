//! The configurations a search has visited.

/// The configurations seen so far, compared exactly.
pub(super) struct Visited {
    /// Open addressing; 0 is free, otherwise an entry's number plus one.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    /// State, first and the words of placed operations, of all entries.
    keys: Vec<u64>,
    /// Records of `stride` words: link to the next record (plus one) and `unseen`, then the words of used ones.
    sets: Vec<u64>,
    stride: usize,
    scratch: Vec<u64>,
}

struct Entry {
    hash: u64,
    key: usize,
    key_length: usize,
    sets: u32,
}

impl Visited {
    pub fn new(words: usize) -> Visited {
        Visited {
            slots: vec![0; 64],
            entries: Vec::new(),
            keys: Vec::new(),
            sets: Vec::new(),
            stride: words + 1,
            scratch: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.sets.len() / self.stride
    }

    /// Whether the configuration is new and no visited one makes it superfluous.
    pub fn insert(&mut self, state: u32, first: usize, unseen: bool, done: &[u64], used: &[u64]) -> bool {
        self.scratch.clear();
        self.scratch.push((first as u64) << 32 | state as u64);
        self.scratch.extend_from_slice(&done[first / 64..]);
        while self.scratch.len() > 1 && self.scratch.last() == Some(&0) {
            self.scratch.pop();
        }
        let hash = mix(&self.scratch);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        let entry = loop {
            match self.slots[slot] {
                0 => break None,
                n => {
                    let entry = &self.entries[n as usize - 1];
                    if entry.hash == hash && self.keys[entry.key..entry.key + entry.key_length] == self.scratch {
                        break Some(n as usize - 1);
                    }
                }
            }
            slot = (slot + 1) & mask;
        };
        let head = entry.map_or(0, |e| self.entries[e].sets);
        let mut at = head;
        while at != 0 {
            let record = &self.sets[(at as usize - 1) * self.stride..][..self.stride];
            let was_unseen = record[0] >> 32 != 0;
            // A visited one in which everything may come next covers one in which some may not.
            if (!was_unseen || unseen) && record[1..].iter().zip(used).all(|(was, now)| was & !now == 0) {
                return false;
            }
            at = record[0] as u32;
        }
        self.sets.push(head as u64 | (unseen as u64) << 32);
        self.sets.extend_from_slice(used);
        let set = self.len() as u32;
        match entry {
            Some(e) => self.entries[e].sets = set,
            None => {
                self.entries.push(Entry { hash, key: self.keys.len(), key_length: self.scratch.len(), sets: set });
                self.keys.extend_from_slice(&self.scratch);
                self.slots[slot] = self.entries.len() as u32;
                if self.entries.len() * 2 > self.slots.len() {
                    self.grow();
                }
            }
        }
        true
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 4;
        self.slots.clear();
        self.slots.resize(size, 0);
        for (n, entry) in self.entries.iter().enumerate() {
            let mut slot = entry.hash as usize & (size - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = n as u32 + 1;
        }
    }
}

fn mix(words: &[u64]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15u64;
    for word in words {
        let product = (hash ^ word) as u128 * 0xd6e8_feb8_6659_fd93_u128;
        hash = product as u64 ^ (product >> 64) as u64;
    }
    hash ^ hash >> 29
}
