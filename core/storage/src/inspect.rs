//! What a folder holds, for people. Changes nothing, and takes no lock: a running member's newest flush may look torn.

use crate::error::disk;
use crate::layout::{Echo, Header, Name};
use crate::recovery::Listing;
use crate::scan::{Ending, read_header, scan};
use crate::snapshots::verify;
use crate::{Error, Options};
use std::fmt;
use std::path::{Path, PathBuf};
use synod_env::{Env, OpenMode};
use synod_types::raft::{HardState, SnapshotMeta};
use synod_types::{Index, Mutants, NodeId};
use synod_wire::log::{RecordKind, hard_state};

/// A folder's files.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The folder.
    pub folder: PathBuf,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentReport>,
    /// Its snapshots, finished or not: what each stands for, or what is wrong with it.
    pub snapshots: Vec<(PathBuf, Result<SnapshotMeta, String>)>,
}

/// One segment of the log.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// Its file.
    pub path: PathBuf,
    /// The file's length in bytes.
    pub file_bytes: u64,
    /// What it holds, or `None` when both copies of the head are damaged.
    pub content: Option<SegmentContent>,
}

/// What a segment holds.
#[derive(Clone, Debug)]
pub struct SegmentContent {
    /// Whose it is.
    pub node: NodeId,
    /// Which cluster's.
    pub cluster: u64,
    /// The layout's version.
    pub format: u32,
    /// The index that came next when it began.
    pub first: Index,
    /// Sequence of the segment before it (0: none), and where that one ends.
    pub previous: (u64, u64),
    /// Number of records.
    pub records: u64,
    /// Lowest and highest index of its entries.
    pub entries: Option<(Index, Index)>,
    /// Its hard states with their offsets.
    pub hard_states: Vec<(u64, HardState)>,
    /// Truncations and resets: offset, what, index.
    pub cuts: Vec<(u64, &'static str, Index)>,
    /// The last flushes as they were written a second time: number, start, end, and what became of it.
    pub echoes: Vec<(u64, u64, u64, &'static str)>,
    /// Flushes whose records are damaged and stand whole in their echo: offset and length.
    pub restorable: Vec<(u64, u64)>,
    /// Offset behind the last good record.
    pub end: u64,
    /// What follows there.
    pub ending: String,
}

/// Reads a folder.
///
/// # Errors
/// The disk refuses, or it is not a folder of the node and cluster in `options`, when those are given.
pub async fn inspect(env: &Env, folder: &Path, options: Option<Options>) -> Result<Inspection, Error> {
    let listing = Listing::read(env, folder).await?;
    let mut headers = Vec::new();
    for path in listing.segments.values() {
        let file = env.disk.open(path, OpenMode::Read).await.map_err(disk("open", path))?;
        headers.push((path, read_header(file.as_ref(), Mutants::NONE).await, file));
    }
    let ends: Vec<_> =
        headers.iter().filter_map(|(_, header, _)| header.as_ref()).map(|h| (h.previous, h.previous_end)).collect();
    let mut segments = Vec::new();
    for (path, header, file) in headers {
        let file_bytes = file.len().await.map_err(disk("read", path))?;
        let content = match header {
            None => None,
            Some(header) => {
                if let Some(options) = &options {
                    crate::recovery::check_identity(path, &header.identity, options)?;
                }
                let must_end = ends.iter().find(|(sequence, _)| *sequence == header.sequence).map(|(_, end)| *end);
                Some(read(file.as_ref(), &header, must_end).await.map_err(disk("read", path))?)
            }
        };
        segments.push(SegmentReport { path: path.clone(), file_bytes, content });
    }
    let mut snapshots = Vec::new();
    for (path, name) in listing.snapshots {
        let found = match name {
            Name::Writing { .. } => Err("was never finished".to_owned()),
            _ => verify(env, &path, &name, options.as_ref()).await?,
        };
        snapshots.push((path, found));
    }
    Ok(Inspection { folder: folder.to_owned(), segments, snapshots })
}

async fn read(file: &dyn synod_env::File, header: &Header, must_end: Option<u64>) -> std::io::Result<SegmentContent> {
    let (mut records, mut entries, mut hard_states, mut cuts) = (0, None, Vec::new(), Vec::new());
    let scanned = scan(file, header, must_end, Mutants::NONE, &mut |offset, record| {
        records += 1;
        match record.kind {
            RecordKind::Entry => {
                let (low, high) = entries.unwrap_or((record.index, record.index));
                entries = Some((low.min(record.index), high.max(record.index)));
            }
            RecordKind::HardState => {
                hard_states.push((offset, hard_state(&record).map_err(|error| error.to_string())?));
            }
            RecordKind::Truncate => cuts.push((offset, "truncate after", record.index)),
            RecordKind::Reset => cuts.push((offset, "reset to", record.index)),
            RecordKind::Segment | RecordKind::Mark => {}
        }
        Ok(())
    })
    .await?;
    let fate = |echo: &Echo| match (echo.complete, &echo.records) {
        (true, _) => "complete",
        (false, Some(_)) => "whole",
        (false, None) => "torn",
    };
    let ending = match &scanned.ending {
        Ending::Clean => "clean".to_owned(),
        Ending::Torn { cut_bytes } => format!("torn: {cut_bytes} bytes of a flush that was not acknowledged"),
        Ending::Damaged { why } => format!("DAMAGED: {why}"),
    };
    Ok(SegmentContent {
        node: header.identity.node,
        cluster: header.identity.cluster,
        format: header.identity.format,
        first: header.first,
        previous: (header.previous, header.previous_end),
        records,
        entries,
        hard_states,
        cuts,
        echoes: scanned.echoes.iter().map(|echo| (echo.flush, echo.start, echo.end, fate(echo))).collect(),
        restorable: scanned.restored.iter().map(|(start, bytes)| (*start, bytes.len() as u64)).collect(),
        end: scanned.end,
        ending,
    })
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.folder.display())?;
        for segment in &self.segments {
            let name = segment.path.file_name().unwrap_or_default().to_string_lossy();
            writeln!(f, "segment {name}: {} bytes", segment.file_bytes)?;
            match &segment.content {
                Some(content) => content.fmt(f)?,
                None => writeln!(f, "  DAMAGED: both copies of the head are unreadable")?,
            }
        }
        for (path, found) in &self.snapshots {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match found {
                Ok(meta) => {
                    let SnapshotMeta { index, term, size_bytes, checksum } = meta;
                    writeln!(
                        f,
                        "snapshot {name}: index {} term {} {size_bytes} bytes {checksum:08x}",
                        index.0, term.0
                    )?;
                }
                Err(why) => writeln!(f, "snapshot {name}: {why}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for SegmentContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  node {} cluster {:016x} format {}", self.node, self.cluster, self.format)?;
        let (previous, end) = self.previous;
        writeln!(f, "  begins with index {}, after segment {previous} that ends at {end}", self.first.0)?;
        write!(f, "  {} records", self.records)?;
        match self.entries {
            Some((low, high)) => writeln!(f, ", entries {}..={}", low.0, high.0)?,
            None => writeln!(f, ", no entries")?,
        }
        for (offset, state) in &self.hard_states {
            let vote = state.vote.map_or("nobody".to_owned(), |vote| vote.to_string());
            let recovering = if state.recovering { ", recovering" } else { "" };
            writeln!(f, "  at {offset}: term {}, vote for {vote}{recovering}", state.term.0)?;
        }
        for (offset, what, index) in &self.cuts {
            writeln!(f, "  at {offset}: {what} index {}", index.0)?;
        }
        for (flush, start, end, fate) in &self.echoes {
            writeln!(f, "  echo of flush {flush}: {start}..{end} {fate}")?;
        }
        for (start, length) in &self.restorable {
            writeln!(f, "  at {start}: {length} bytes are damaged and can be restored")?;
        }
        writeln!(f, "  ends at {}: {}", self.end, self.ending)
    }
}
