//! What is on the disk for sure, what may be, and what that comes to when the power goes.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;

use crate::random::hash;
use crate::trace::{Entry, FileId};

const SECTOR: usize = 512;

/// Beside the numbers of sectors: a file's length, and a name.
const LENGTH: u64 = u64::MAX;
const NAME: u64 = u64::MAX - 1;

/// A folder on its disk: what has been synced, and what was done since. The [crate's page](crate) says what is assumed.
#[derive(Clone, Debug, Default)]
pub struct Medium {
    files: BTreeMap<FileId, Content>,
    names: BTreeMap<String, FileId>,
    /// What became of names since the folder was synced.
    renamed: Vec<(u64, String, Option<FileId>)>,
    /// How many changes there have been.
    changes: u64,
}

#[derive(Clone, Debug, Default)]
struct Content {
    synced: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Clone, Debug)]
struct Change {
    number: u64,
    state: State,
    what: What,
    /// The file's length after it, where it changes.
    length: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unsynced,
    /// A sync failed: no later one tells whether it is there.
    Doubtful,
    /// Synced, behind a doubtful one.
    Synced,
}

#[derive(Clone, Debug)]
enum What {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// Which of what was not synced survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing does.
    Nothing,
    /// Everything does, as after a crash of the process alone.
    Everything,
    /// What came first does, across all files; one change is torn.
    First,
    /// Each change does, or does not, as a whole.
    Changes,
    /// All changes but one do.
    AllButOne,
    /// One change does.
    One,
    /// Each sector is as it was at some moment or another.
    Sectors,
    /// As [`Sectors`](Self::Sectors), and bytes that were under way may be garbage.
    Garbage,
}

impl Survival {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Everything,
        Self::First,
        Self::Changes,
        Self::AllButOne,
        Self::One,
        Self::Sectors,
        Self::Garbage,
    ];
}

/// The files of a folder, as a power cut could leave them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Image(pub BTreeMap<String, Vec<u8>>);

impl Image {
    /// A number that is another for another image.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Writes the files into a folder, which is created.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        self.0.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
    }
}

impl Medium {
    /// Goes on by one entry of a trace.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Found { file, name, bytes } => {
                self.files.insert(*file, Content { synced: bytes.clone(), since: Vec::new() });
                self.names.insert(name.clone(), *file);
            }
            Entry::Created { file, name } => {
                self.files.insert(*file, Content::default());
                let number = self.number();
                self.renamed.push((number, name.clone(), Some(*file)));
            }
            Entry::Deleted { name } => {
                let number = self.number();
                self.renamed.push((number, name.clone(), None));
            }
            Entry::Wrote { file, offset, bytes } => {
                let what = What::Write { offset: *offset as usize, bytes: bytes.clone() };
                self.change(*file, what);
            }
            Entry::Truncated { file, length } => self.change(*file, What::Truncate(*length as usize)),
            Entry::Synced { file } => self.content(*file).sync(),
            Entry::NotSynced { file } => {
                let unsynced =
                    self.content(*file).since.iter_mut().filter(|change| change.state == State::Unsynced);
                unsynced.for_each(|change| change.state = State::Doubtful);
            }
            Entry::FolderSynced => {
                for (_, name, file) in self.renamed.drain(..) {
                    match file {
                        Some(file) => self.names.insert(name, file),
                        None => self.names.remove(&name),
                    };
                }
            }
            Entry::Note(_) => {}
        }
    }

    /// How many changes may or may not survive.
    #[must_use]
    pub fn at_stake(&self) -> usize {
        let undecided = |content: &Content| content.since.iter().filter(|c| c.state != State::Synced).count();
        self.renamed.len() + self.files.values().map(undecided).sum::<usize>()
    }

    /// The folder as a power cut could leave it now: the same for the same seed.
    #[must_use]
    pub fn image(&self, survival: Survival, seed: u64) -> Image {
        let lot = Lot { survival, seed, chosen: self.choose(hash(seed, 0, 0)) };
        let mut names = self.names.clone();
        // The last change of a name that survives says what it stands for.
        for (number, name, file) in &self.renamed {
            if lot.survives(*number, NAME) {
                match file {
                    Some(file) => names.insert(name.clone(), *file),
                    None => names.remove(name),
                };
            }
        }
        Image(names.into_iter().map(|(name, file)| (name, self.files[&file].image(&lot))).collect())
    }

    /// The number of one of the changes that are at stake.
    fn choose(&self, random: u64) -> u64 {
        let content = self.files.values().flat_map(|content| &content.since);
        let undecided = content.filter(|c| c.state != State::Synced).map(|change| change.number);
        let mut numbers: Vec<u64> =
            undecided.chain(self.renamed.iter().map(|(number, ..)| *number)).collect();
        numbers.sort_unstable();
        if numbers.is_empty() { 0 } else { numbers[(random % numbers.len() as u64) as usize] }
    }

    fn number(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    fn content(&mut self, file: FileId) -> &mut Content {
        self.files.get_mut(&file).expect("a trace creates a file before it changes it")
    }

    fn change(&mut self, file: FileId, what: What) {
        let number = self.number();
        let content = self.content(file);
        let before = content.length();
        let after = match &what {
            What::Write { offset, bytes } => before.max(offset + bytes.len()),
            What::Truncate(length) => *length,
        };
        let length = (after != before).then_some(after);
        content.since.push(Change { number, state: State::Unsynced, what, length });
    }
}

/// What decides, change by change and sector by sector.
struct Lot {
    survival: Survival,
    seed: u64,
    /// A change, for those that single one out.
    chosen: u64,
}

impl Lot {
    fn survives(&self, number: u64, sector: u64) -> bool {
        let coin = |sector| hash(self.seed, number, sector).is_multiple_of(2);
        match self.survival {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::First => number < self.chosen || number == self.chosen && coin(sector),
            Survival::Changes => coin(0),
            Survival::AllButOne => number != self.chosen,
            Survival::One => number == self.chosen,
            Survival::Sectors | Survival::Garbage => coin(sector),
        }
    }

    fn garbles(&self, number: u64, sector: u64) -> bool {
        self.survival == Survival::Garbage && hash(self.seed ^ 1, number, sector).is_multiple_of(4)
    }
}

impl Content {
    fn length(&self) -> usize {
        self.since.iter().rev().find_map(|change| change.length).unwrap_or(self.synced.len())
    }

    fn sync(&mut self) {
        if self.since.iter().any(|change| change.state == State::Doubtful) {
            let unsynced = self.since.iter_mut().filter(|change| change.state == State::Unsynced);
            unsynced.for_each(|change| change.state = State::Synced);
            return;
        }
        for change in std::mem::take(&mut self.since) {
            change.what.apply(&mut self.synced);
        }
    }

    fn image(&self, lot: &Lot) -> Vec<u8> {
        if self.since.is_empty() {
            return self.synced.clone();
        }
        let survives = |change: &Change, sector| {
            // A file is cut off as a whole, wherever a sector of it may be.
            let sector = if matches!(change.what, What::Truncate(_)) { LENGTH } else { sector };
            change.state == State::Synced || lot.survives(change.number, sector)
        };
        let length = self.since.iter().rev().filter(|change| survives(change, LENGTH));
        let length = length.filter_map(|change| change.length).next().unwrap_or(self.synced.len());
        let mut image = self.synced.clone();
        image.resize(length, 0);
        let mut touched: BTreeMap<usize, Vec<&Change>> = BTreeMap::new();
        for change in &self.since {
            change.what.sectors(length).for_each(|sector| touched.entry(sector).or_default().push(change));
        }
        for (sector, changes) in touched {
            let (start, number) = (sector * SECTOR, sector as u64);
            let Some(last) = changes.iter().rposition(|change| survives(change, number)) else { continue };
            let mut bytes = [0; SECTOR];
            let there = self.synced.get(start..).unwrap_or_default();
            let there = &there[..there.len().min(SECTOR)];
            bytes[..there.len()].copy_from_slice(there);
            // Up to the last that survives, all are in the sector, since it was written as it stood in memory: all but those in doubt.
            for (at, change) in changes[..=last].iter().enumerate() {
                if change.state == State::Doubtful && !survives(change, number) {
                    continue;
                }
                let garbage =
                    at == last && change.state != State::Synced && lot.garbles(change.number, number);
                change.what.apply_within(&mut bytes, start, garbage.then_some(lot.seed));
            }
            if let Some(place) = image.get_mut(start..) {
                let len = place.len().min(SECTOR);
                place[..len].copy_from_slice(&bytes[..len]);
            }
        }
        image
    }
}

impl What {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*offset..end].copy_from_slice(bytes);
            }
            Self::Truncate(length) => file.resize(*length, 0),
        }
    }

    /// The sectors that it changes, in a file of this length.
    fn sectors(&self, length: usize) -> std::ops::Range<usize> {
        match self {
            Self::Write { offset, bytes } => offset / SECTOR..(offset + bytes.len()).div_ceil(SECTOR),
            Self::Truncate(to) => to / SECTOR..length.div_ceil(SECTOR),
        }
    }

    /// Changes what it changes of the sector that begins at `start`.
    fn apply_within(&self, sector: &mut [u8; SECTOR], start: usize, garbage: Option<u64>) {
        match self {
            Self::Write { offset, bytes } => {
                for at in *offset.max(&start)..(offset + bytes.len()).min(start + SECTOR) {
                    sector[at - start] = match garbage {
                        Some(seed) => hash(seed, at as u64, 2) as u8,
                        None => bytes[at - offset],
                    };
                }
            }
            Self::Truncate(length) => {
                sector[length.saturating_sub(start).min(SECTOR)..].fill(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const A: FileId = FileId(0);

    fn wrote(offset: u64, byte: u8, len: usize) -> Entry {
        Entry::Wrote { file: A, offset, bytes: vec![byte; len] }
    }

    /// After these, and `a` with two synced sectors of ones before them.
    fn medium(entries: &[Entry]) -> Medium {
        let mut medium = Medium::default();
        medium.apply(&Entry::Found { file: A, name: "a".into(), bytes: vec![1; 1024] });
        entries.iter().for_each(|entry| medium.apply(entry));
        medium
    }

    fn images(medium: &Medium) -> Vec<Image> {
        let seeds = (0..100).flat_map(|seed| Survival::ALL.map(|survival| (survival, seed)));
        seeds.map(|(survival, seed)| medium.image(survival, seed)).collect()
    }

    fn a(image: &Image) -> &[u8] {
        &image.0["a"]
    }

    #[test]
    fn what_is_synced_is_there_however_the_power_goes() {
        let medium = medium(&[wrote(100, 2, 1000), Entry::Synced { file: A }]);
        assert_eq!(medium.at_stake(), 0);
        for image in images(&medium) {
            assert_eq!(a(&image), [vec![1; 100], vec![2; 1000]].concat());
        }
    }

    #[test]
    fn an_unsynced_write_is_there_by_the_sector_and_touches_no_other() {
        let medium = medium(&[wrote(400, 2, 300), wrote(600, 3, 8)]);
        let (mut seen, mut torn) = (BTreeSet::new(), false);
        for survival in Survival::ALL.into_iter().filter(|s| *s != Survival::Garbage) {
            for seed in 0..100 {
                let image = medium.image(survival, seed);
                let (first, second) = a(&image).split_at(512);
                assert!(first == [1; 512] || first == [[1; 400].as_slice(), &[2; 112]].concat());
                let latest = second[88] == 3;
                assert!(!latest || second[0] == 2, "a sector has all that was written to it before");
                torn |= first[511] != second[0];
                seen.insert(a(&image).to_vec());
            }
        }
        assert!(torn && seen.len() == 6, "{} of 2 times 3 images", seen.len());
        for image in images(&medium) {
            assert_eq!((&a(&image)[..400], &a(&image)[700..]), (&[1; 400][..], &[1; 324][..]));
        }
    }

    #[test]
    fn a_length_and_what_is_in_it_survive_apart() {
        let medium = medium(&[wrote(1024, 2, 512), Entry::Truncated { file: A, length: 512 }]);
        let lengths: BTreeSet<usize> = images(&medium).iter().map(|image| a(image).len()).collect();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [512, 1024, 1536]);
        let mut ends: Vec<u8> =
            images(&medium).iter().filter_map(|image| a(image).get(1024).copied()).collect();
        ends.sort_unstable();
        assert!(ends.contains(&0) && ends.contains(&2), "zeros where nothing was written");
    }

    #[test]
    fn a_file_is_cut_off_as_a_whole_or_not() {
        let medium = medium(&[Entry::Truncated { file: A, length: 0 }]);
        for image in images(&medium) {
            assert!(a(&image).is_empty() || a(&image) == [1; 1024]);
        }
    }

    #[test]
    fn names_are_in_doubt_until_the_folder_is_synced() {
        let (b, mut entries) = (FileId(1), vec![Entry::Deleted { name: "a".into() }]);
        entries.push(Entry::Created { file: b, name: "b".into() });
        entries.push(Entry::Synced { file: b });
        let names = |image: &Image| image.0.keys().cloned().collect::<String>();
        let seen: BTreeSet<String> = images(&medium(&entries)).iter().map(names).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["", "a", "ab", "b"]);
        entries.push(Entry::FolderSynced);
        assert!(images(&medium(&entries)).iter().all(|image| names(image) == "b"));
    }

    #[test]
    fn a_failed_sync_leaves_its_writes_in_doubt_and_a_later_one_does_not_settle_them() {
        let medium = medium(&[
            wrote(0, 2, 512),
            Entry::NotSynced { file: A },
            wrote(512, 3, 512),
            Entry::Synced { file: A },
        ]);
        let images = images(&medium);
        assert!(images.iter().all(|image| a(image)[512] == 3));
        let firsts: BTreeSet<u8> = images.iter().map(|image| a(image)[100]).collect();
        assert!(firsts.contains(&1) && firsts.contains(&2));
    }
}
