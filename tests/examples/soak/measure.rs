//! What a process holds, and whether it holds more and more.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// What is held at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) events: u64,
    /// Bytes of memory that are resident.
    pub(crate) resident: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// Bytes of files.
    pub(crate) log: u64,
    pub(crate) views: u64,
    /// Of both write-ahead logs.
    pub(crate) ahead: u64,
}

impl Sample {
    pub(crate) fn take(at: Duration, events: u64, folder: &Path) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let bytes = |file: &str| fs::metadata(folder.join(file)).map_or(0, |file| file.len());
        Self {
            at,
            events,
            resident: of("VmRSS:") * 1024,
            descriptors: fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64),
            threads: of("Threads:"),
            log: bytes("events.db"),
            views: bytes("views.db"),
            ahead: bytes("events.db-wal") + bytes("views.db-wal"),
        }
    }

    fn bytes_an_event(&self) -> f64 {
        self.log as f64 / self.events.max(1) as f64
    }
}

/// The samples of a run, thinned out to a table of a dozen lines.
pub(crate) fn table(samples: &[Sample]) -> String {
    let mut text = String::from(
        "| minute | events | memory, MB | descriptors | threads | views.db, MB | write-ahead logs, MB | log, bytes an event |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    for part in samples.chunks(samples.len().div_ceil(12).max(1)) {
        let Some(last) = part.last() else { continue };
        text += &format!(
            "| {:.1} | {} | {:.1} | {} | {} | {:.1} | {:.1} | {:.1} |\n",
            last.at.as_secs_f64() / 60.0,
            last.events,
            megabytes(median(part, |sample| sample.resident)),
            median(part, |sample| sample.descriptors),
            median(part, |sample| sample.threads),
            megabytes(median(part, |sample| sample.views)),
            megabytes(part.iter().map(|sample| sample.ahead).max().unwrap_or(0)),
            last.bytes_an_event(),
        );
    }
    text
}

/// In less, an allocator may still be making room.
const LONG: Duration = Duration::from_secs(600);

/// What grew between the second quarter of the run and its last. The first is for getting warm.
pub(crate) fn grown(samples: &[Sample]) -> Vec<String> {
    let quarter = samples.len() / 4;
    let (early, late) = (&samples[quarter..2 * quarter], &samples[3 * quarter..]);
    if early.is_empty() {
        return vec![format!("{} samples are too few to tell", samples.len())];
    }
    let mut grown = Vec::new();
    // In a short run, the samples of a quarter are few, and most of them may lie on one side of a moment in which more was open. What every restart left behind
    // would be more than this.
    let short = late.last().is_some_and(|last| last.at < LONG);
    let spare = if short { 2 } else { 0 };
    let mut hold = |what: &str, of: fn(&Sample) -> u64, slack: f64| {
        let (before, after) = (median(early, of), median(late, of));
        if after as f64 > (before + spare) as f64 * slack {
            grown.push(format!("{what}: {before} in the second quarter, {after} in the last"));
        }
    };
    hold("descriptors", |sample| sample.descriptors, 1.0);
    hold("threads", |sample| sample.threads, 1.0);
    if short {
        return grown;
    }
    hold("bytes of memory", |sample| sample.resident, 1.1);
    hold("bytes of views.db", |sample| sample.views, 1.1);
    hold("bytes of the write-ahead logs", |sample| sample.ahead, 2.0);
    hold("hundredths of a byte an event in the log", |sample| (sample.bytes_an_event() * 100.0) as u64, 1.05);
    grown
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(of).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}
