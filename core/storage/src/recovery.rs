//! From the files of a folder to what the log was: which segments follow each other, where the log ends, and why.

use crate::error::disk;
use crate::layout::{Header, Identity, Name};
use crate::replay::Replay;
use crate::scan::{Ending, Scan, read_again, read_header, scan};
use crate::{Error, Options, Tail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use synod_env::{Env, File, OpenMode};
use synod_types::{Index, Mutant};

/// The names in a folder, sorted out.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Segments by sequence.
    pub(crate) segments: BTreeMap<u64, PathBuf>,
    /// Snapshots and unfinished snapshots.
    pub(crate) snapshots: Vec<(PathBuf, Name)>,
    /// Files that nobody needs.
    pub(crate) spares: Vec<PathBuf>,
    /// Highest sequence ever seen, also of segments that were put aside.
    pub(crate) sequence_max: u64,
    /// Whether something was put aside once.
    pub(crate) aside: bool,
}

impl Listing {
    pub(crate) async fn read(env: &Env, folder: &Path) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        for name in env.disk.list(folder).await.map_err(disk("list", folder))? {
            let Some(name) = name.file_name().and_then(|name| name.to_str()) else { continue };
            let path = folder.join(name);
            match Name::parse(name) {
                Name::Segment { sequence, .. } => {
                    listing.sequence_max = listing.sequence_max.max(sequence);
                    listing.segments.insert(sequence, path);
                }
                Name::Aside { sequence } => {
                    listing.sequence_max = listing.sequence_max.max(sequence);
                    listing.aside = true;
                }
                kind @ (Name::Snapshot { .. } | Name::Writing { .. }) => listing.snapshots.push((path, kind)),
                Name::Spare => listing.spares.push(path),
                Name::Other => {}
            }
        }
        Ok(listing)
    }
}

/// A segment that belongs to the log.
pub(crate) struct Live {
    pub(crate) sequence: u64,
    pub(crate) path: PathBuf,
    /// See [`Replay::low`].
    pub(crate) low: Index,
}

/// The log that was found.
pub(crate) struct Found {
    pub(crate) replay: Replay,
    /// Its segments, oldest first.
    pub(crate) live: Vec<Live>,
    /// Where the last of them ends.
    pub(crate) end: u64,
    pub(crate) tail: Tail,
    /// Segments that do not belong to it because of damage.
    pub(crate) aside: Vec<PathBuf>,
    /// Segments that were being removed.
    pub(crate) leftover: Vec<PathBuf>,
}

/// Opens a file, reads its head, and checks whose it is. The head is `None` when both copies are damaged.
async fn open_segment(
    env: &Env,
    path: &Path,
    mode: OpenMode,
    options: &Options,
) -> Result<(Box<dyn File>, Option<Header>), Error> {
    let file = env.disk.open(path, mode).await.map_err(disk("open", path))?;
    let header = read_header(file.as_ref(), options.mutants).await;
    if let Some(header) = &header {
        check_identity(path, &header.identity, options)?;
    }
    Ok((file, header))
}

/// Refuses the files of another member, another cluster, a newer version.
pub(crate) fn check_identity(path: &Path, found: &Identity, options: &Options) -> Result<(), Error> {
    let path = path.to_owned();
    if found.format > options.format {
        return Err(Error::Newer { path, found: found.format, limit: options.format });
    }
    if (found.node, found.cluster) != (options.node, options.cluster) {
        return Err(Error::Foreign {
            path,
            found_node: found.node,
            found_cluster: found.cluster,
            node: options.node,
            cluster: options.cluster,
        });
    }
    Ok(())
}

/// Reads the log. Writes only what an echo restores, and the last flush again.
pub(crate) async fn recover(env: &Env, listing: &Listing, options: &Options) -> Result<Option<Found>, Error> {
    let mut headers = BTreeMap::new();
    let mut aside = Vec::new();
    for (sequence, path) in &listing.segments {
        match open_segment(env, path, OpenMode::Read, options).await?.1.filter(|header| header.sequence == *sequence) {
            Some(header) => drop(headers.insert(*sequence, header)),
            None => aside.push(path.clone()),
        }
    }
    // From the newest back, as far as each names the one before it.
    let mut chain: Vec<u64> = headers.keys().next_back().copied().into_iter().collect();
    while let Some(previous) = chain.last().and_then(|sequence| headers.get(sequence)).map(|header| header.previous) {
        if !headers.contains_key(&previous) || chain.contains(&previous) {
            break;
        }
        chain.push(previous);
    }
    chain.reverse();
    let Some(first) = chain.first().and_then(|sequence| headers.get(sequence)) else {
        return Ok((!aside.is_empty()).then(|| Found {
            replay: Replay::new(Index(1)),
            live: Vec::new(),
            end: 0,
            tail: Tail::Damaged { why: "the heads of all segments are unreadable".to_owned() },
            aside,
            leftover: Vec::new(),
        }));
    };

    // A newer segment whose head is gone held something: segments get their names when they are durable.
    let newest = chain.last().copied().unwrap_or(0);
    let lost = listing.segments.range(newest + 1..).next().map(|(_, path)| path);
    let lost = lost.filter(|_| !options.mutants.on(Mutant::StoreLostHead));
    let mut tail = match lost {
        Some(path) => Tail::Damaged { why: format!("{}: both copies of the head are unreadable", path.display()) },
        None => Tail::Clean,
    };
    let oldest = first.sequence;
    let mut leftover = Vec::new();
    for (sequence, path) in &listing.segments {
        match headers.contains_key(sequence) && !chain.contains(sequence) {
            true if *sequence < oldest => leftover.push(path.clone()),
            true => aside.push(path.clone()),
            false => {}
        }
    }

    let mut replay = Replay::new(first.first);
    let (mut live, mut end) = (Vec::new(), 0);
    for (position, sequence) in chain.iter().enumerate() {
        let (Some(header), Some(path)) = (headers.get(sequence), listing.segments.get(sequence)) else { continue };
        let stop = match replay.segment(header.first) {
            Err(why) => Some(why),
            Ok(()) => {
                let next = chain.get(position + 1).and_then(|next| headers.get(next));
                let must_end = next.map(|next| next.previous_end);
                let scanned = read_segment(env, path, header, must_end, options, &mut replay).await?;
                end = scanned.end;
                live.push(Live { sequence: *sequence, path: path.clone(), low: replay.low });
                match scanned.ending {
                    Ending::Clean => None,
                    Ending::Torn { cut_bytes } => {
                        env.sometimes("storage: a torn tail was cut");
                        if tail == Tail::Clean {
                            tail = Tail::Torn { cut_bytes };
                        }
                        None
                    }
                    Ending::Damaged { .. } if options.mutants.on(Mutant::StoreTruncateDamaged) => {
                        tail = Tail::Torn { cut_bytes: 0 };
                        Some(String::new())
                    }
                    Ending::Damaged { why } => Some(why),
                }
            }
        };
        if let Some(why) = stop {
            if !why.is_empty() {
                tail = Tail::Damaged { why: format!("{} {why}", path.display()) };
            }
            let rest = chain.iter().skip(live.len()).filter_map(|sequence| listing.segments.get(sequence));
            aside.extend(rest.cloned());
            break;
        }
    }
    Ok(Some(Found { replay, live, end, tail, aside, leftover }))
}

/// Reads one segment into `replay`, and mends what its echoes can mend.
async fn read_segment(
    env: &Env,
    path: &Path,
    header: &Header,
    must_end: Option<u64>,
    options: &Options,
    replay: &mut Replay,
) -> Result<Scan, Error> {
    let file = env.disk.open(path, OpenMode::Write).await.map_err(disk("open", path))?;
    let mut starts = Vec::new();
    let mut visit = |at, record| {
        starts.push(at);
        replay.apply(&record, options.mutants)
    };
    let scanned =
        scan(file.as_ref(), header, must_end, options.mutants, &mut visit).await.map_err(disk("read", path))?;
    if !scanned.restored.is_empty() {
        env.sometimes("storage: records were restored from their echo");
        file.write_sync(scanned.restored.clone()).await.map_err(disk("restore", path))?;
    }
    if must_end.is_none() && !options.mutants.on(Mutant::StoreTrustPageCache) {
        // The last flush may be in the page cache only, after a sync that failed: then a sync would lie, a new write
        // does not.
        let flush = scanned.echoes.last().map_or(header.records_at(), |echo| echo.start);
        if let Some(at) = starts.into_iter().find(|at| *at >= flush) {
            let records = read_again(file.as_ref(), header, at, scanned.end, options.mutants);
            let records = records.await.map_err(disk("read again", path))?;
            file.write_sync(vec![(at, records)]).await.map_err(disk("write again", path))?;
        }
    }
    Ok(scanned)
}
