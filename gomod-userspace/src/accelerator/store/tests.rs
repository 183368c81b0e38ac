// SPDX-License-Identifier: MIT OR Apache-2.0

use std::fs::{self, File, Permissions};
use std::io::{Cursor, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;
use crate::golang::{ModuleVersion, ProxyFileKind};

const PLENTY: u64 = 1 << 30;

/// A store in a directory of its own.
struct Place {
    directory: TempDir,
    shelf: Shelf,
}

fn place(limit: u64) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::open_or_make(&directory.path().join("store"), owner(), limit).unwrap();
    Place { directory, shelf }
}

fn owner() -> u32 {
    nix::unistd::geteuid().as_raw()
}

impl Place {
    fn file(&self, below: &str) -> PathBuf {
        self.directory.path().join("store").join(below)
    }

    /// Found and right.
    fn finds(&self, file: &ProxyFile, hash: H1) -> Option<Vec<u8>> {
        let opened = self.shelf.open(file, hash).unwrap()?;
        let found = self.shelf.check(file, opened).unwrap()?;
        Some(match found.content {
            Content::Memory(bytes) => bytes.to_vec(),
            Content::File(file) => {
                let mut bytes = vec![0; found.length as usize];
                file.read_exact_at(&mut bytes, 0).unwrap();
                bytes
            }
        })
    }

    fn keep(&self, file: &ProxyFile, content: &[u8]) -> H1 {
        let hash = hash(file, content);
        let kept = self.shelf.keep(file, hash, &mut Cursor::new(content));
        assert_eq!(kept.unwrap(), Kept::New);
        hash
    }
}

fn hash(file: &ProxyFile, content: &[u8]) -> H1 {
    match file.kind {
        ProxyFileKind::Zip => H1::of_zip(Cursor::new(content)).unwrap(),
        _ => H1::of_go_mod(content),
    }
}

fn file(kind: ProxyFileKind, version: &str) -> ProxyFile {
    ProxyFile {
        kind,
        module: ModuleVersion {
            path: "example.com/M".to_owned(),
            version: version.to_owned(),
        },
    }
}

/// A module zip with so many bytes that can't be packed.
fn zip(size: usize) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer
        .start_file("example.com/M@v1.0.0/a", options)
        .unwrap();
    let noise: Vec<u8> = (0..size as u64)
        .map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect();
    writer.write_all(&noise).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn what_was_kept_is_found_in_goproxy_layout() {
    let place = place(PLENTY);
    let go_mod = file(ProxyFileKind::Mod, "v1.0.0");
    let small = place.keep(&go_mod, b"module example.com/M\n");
    // One that is written in parts, and read from the file.
    let archive = zip(11 << 20);
    let zipped = file(ProxyFileKind::Zip, "v1.0.0");
    let large = place.keep(&zipped, &archive);
    assert_eq!(
        place.finds(&go_mod, small).unwrap(),
        b"module example.com/M\n"
    );
    assert!(place.finds(&zipped, large).unwrap() == archive);
    let again = place.shelf.keep(&zipped, large, &mut Cursor::new(&archive));
    assert_eq!(again.unwrap(), Kept::Already);

    let below = "download/example.com/!m/@v/v1.0.0";
    assert!(fs::read(place.file(&format!("{below}.zip"))).unwrap() == archive);
    let info = fs::read(place.file(&format!("{below}.info"))).unwrap();
    assert_eq!(info, b"{\"Version\":\"v1.0.0\"}");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.file("")), 0o700);
    assert_eq!(mode(place.file(&format!("{below}.zip"))) & 0o022, 0);
    let stock = place.shelf.stock().unwrap();
    assert_eq!((stock.versions, stock.files), (1, 5));
    assert_eq!(place.shelf.check_all().unwrap().right, 2);
}

#[test]
fn another_hash_or_version_is_not_found() {
    let place = place(PLENTY);
    let go_mod = file(ProxyFileKind::Mod, "v1.0.0");
    let hash = place.keep(&go_mod, b"module example.com/M\n");
    assert!(place.finds(&go_mod, H1::of_go_mod(b"another")).is_none());
    assert!(
        place
            .finds(&file(ProxyFileKind::Mod, "v1.0.1"), hash)
            .is_none()
    );
    assert!(
        place
            .finds(&file(ProxyFileKind::Zip, "v1.0.0"), hash)
            .is_none()
    );
    // A run that knows another hash, and has a file with that one, replaces it.
    let other = place.keep(&go_mod, b"another");
    assert!(place.finds(&go_mod, hash).is_none());
    assert_eq!(place.finds(&go_mod, other).unwrap(), b"another");
}

#[test]
fn a_changed_file_is_removed_and_not_found() {
    let place = place(PLENTY);
    for size in [100, 300_000] {
        for change in [change_a_byte, cut, lengthen, empty] {
            let zipped = file(ProxyFileKind::Zip, "v1.0.0");
            let hash = place.keep(&zipped, &zip(size));
            let path = place.file("download/example.com/!m/@v/v1.0.0.zip");
            change(&path);
            assert!(place.finds(&zipped, hash).is_none());
            assert!(!path.exists());
            assert!(!place.file("sums/example.com/!m/@v/v1.0.0.zip").exists());
        }
    }
}

fn change_a_byte(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 70).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 70).unwrap();
}

fn cut(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
}

fn lengthen(path: &Path) {
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(b"x").unwrap();
}

fn empty(path: &Path) {
    File::create(path).unwrap();
}

#[test]
fn a_damaged_or_missing_record_finds_nothing() {
    let place = place(PLENTY);
    let go_mod = file(ProxyFileKind::Mod, "v1.0.0");
    let record = place.file("sums/example.com/!m/@v/v1.0.0.mod");
    for damage in [
        |record: &Path| fs::write(record, "h1:").unwrap(),
        |record: &Path| fs::write(record, vec![b'x'; 1 << 20]).unwrap(),
        |record: &Path| fs::remove_file(record).unwrap(),
    ] {
        let hash = place.keep(&go_mod, b"module example.com/M\n");
        damage(&record);
        assert!(place.finds(&go_mod, hash).is_none());
    }
}

#[test]
fn what_others_may_write_to_is_not_trusted() {
    let place = place(PLENTY);
    let go_mod = file(ProxyFileKind::Mod, "v1.0.0");
    for tree in ["download", "sums"] {
        let hash = H1::of_go_mod(b"module example.com/M\n");
        let content = &mut Cursor::new(b"module example.com/M\n");
        place.shelf.keep(&go_mod, hash, content).unwrap();
        let path = place.file(&format!("{tree}/example.com/!m/@v/v1.0.0.mod"));
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(place.finds(&go_mod, hash).is_none(), "{tree}");
    }
    fs::set_permissions(place.file(""), Permissions::from_mode(0o777)).unwrap();
    let opened = Shelf::open_existing(&place.file(""), owner(), PLENTY);
    assert!(matches!(opened, Err(StoreError::NotOurs { .. })));
    let opened = Shelf::open_existing(place.directory.path(), owner() + 1, PLENTY);
    assert!(matches!(opened, Err(StoreError::NotOurs { .. })));
}

#[test]
fn an_unusable_place_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let plain_file = directory.path().join("file");
    fs::write(&plain_file, "").unwrap();
    let error = Shelf::open_or_make(&plain_file.join("store"), owner(), PLENTY).unwrap_err();
    let said = error.to_string();
    assert!(said.contains(plain_file.to_str().unwrap()), "{said}");
    assert!(said.contains("Not a directory"), "{said}");
    let none = Shelf::open_existing(&directory.path().join("none"), owner(), PLENTY);
    assert!(none.unwrap().is_none());
}

/// As if it had been used so many hours ago.
fn age(place: &Place, version: &str, hours: u64) {
    let path = place.file(&format!("sums/example.com/!m/@v/{version}.zip"));
    let used = SystemTime::now() - Duration::from_secs(3600 * hours);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(used).unwrap();
}

#[test]
fn the_least_recently_used_go_first() {
    let place = place(PLENTY);
    let zipped = |version: &str| file(ProxyFileKind::Zip, version);
    let hashes = ["v1.0.0", "v2.0.0", "v3.0.0"].map(|version| {
        let hash = place.keep(&zipped(version), &zip(100_000));
        (version, hash)
    });
    for (hours, (version, _)) in hashes.iter().enumerate() {
        age(&place, version, 10 - hours as u64);
    }
    // The oldest is used again, and counts as new.
    place.finds(&zipped("v1.0.0"), hashes[0].1).unwrap();
    let removed = place.shelf.prune(250_000).unwrap();
    assert_eq!((removed.versions, removed.files), (1, 3));
    let left = hashes.map(|(version, hash)| place.finds(&zipped(version), hash).is_some());
    assert_eq!(left, [true, false, true]);
    assert!(
        !place
            .file("download/example.com/!m/@v/v2.0.0.info")
            .exists()
    );
    assert!(place.shelf.stock().unwrap().bytes <= 250_000);
}

#[test]
fn it_never_grows_past_its_limit() {
    let place = place(1_000_000);
    for patch in 0..30 {
        place.keep(
            &file(ProxyFileKind::Zip, &format!("v1.0.{patch}")),
            &zip(90_000),
        );
        let stock = place.shelf.stock().unwrap();
        assert!(stock.bytes <= 1_000_000, "{stock:?}");
        assert!(patch < 10 || stock.versions >= 8, "{stock:?}");
    }
    let large = zip(1_000_001);
    let too_large = file(ProxyFileKind::Zip, "v9.0.0");
    let kept = place.shelf.keep(
        &too_large,
        hash(&too_large, &large),
        &mut Cursor::new(&large),
    );
    assert_eq!(kept.unwrap(), Kept::TooLarge);
}

#[test]
fn a_check_of_everything_removes_what_is_wrong() {
    let place = place(PLENTY);
    for version in ["v1.0.0", "v2.0.0", "v3.0.0", "v4.0.0"] {
        place.keep(&file(ProxyFileKind::Zip, version), &zip(100));
    }
    change_a_byte(&place.file("download/example.com/!m/@v/v1.0.0.zip"));
    // A record that fits the bytes, but not the module.
    let forged = fs::read_to_string(place.file("sums/example.com/!m/@v/v2.0.0.zip")).unwrap();
    let first = forged.lines().next().unwrap();
    let forged = forged.replace(first, &H1::of_go_mod(b"").to_string());
    fs::write(place.file("sums/example.com/!m/@v/v2.0.0.zip"), forged).unwrap();
    fs::remove_file(place.file("sums/example.com/!m/@v/v3.0.0.zip")).unwrap();
    let orphan = File::open(place.file("download/example.com/!m/@v/v3.0.0.zip")).unwrap();

    // Another run may be about to write the record that lacks.
    let checked = place.shelf.check_all().unwrap();
    assert_eq!((checked.right, checked.wrong.len()), (1, 2));
    let old = SystemTime::now() - Duration::from_secs(7200);
    orphan.set_modified(old).unwrap();
    let checked = place.shelf.check_all().unwrap();
    assert_eq!(checked.right, 1);
    let (name, reason) = &checked.wrong[0];
    assert_eq!(name, "download/example.com/!m/@v/v3.0.0.zip");
    assert!(reason.contains("nothing says"), "{reason}");
    assert_eq!(place.shelf.check_all().unwrap().wrong, []);
}

#[test]
fn clearing_leaves_what_is_not_ours() {
    let place = place(PLENTY);
    place.keep(&file(ProxyFileKind::Zip, "v1.0.0"), &zip(100));
    let outside = place.directory.path().join("precious.mod");
    fs::write(&outside, "precious").unwrap();
    let notes = place.file("download/example.com/notes");
    fs::write(&notes, "mine").unwrap();
    // A link that leads round in a circle, and one to what looks like files of ours.
    let linked = place.directory.path().join("cache/example.org/@v");
    fs::create_dir_all(&linked).unwrap();
    let elsewhere = linked.join("v1.0.0.zip");
    fs::write(&elsewhere, "not ours").unwrap();
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, place.file(name)).unwrap();
    link(place.directory.path(), "download/out");
    link(
        &place.directory.path().join("cache"),
        "download/linked.example",
    );
    let removed = place.shelf.prune(0).unwrap();
    assert_eq!((removed.versions, removed.files), (1, 3));
    assert_eq!(place.shelf.stock().unwrap(), Stock::default());
    assert!(notes.exists() && outside.exists() && elsewhere.exists());
}

#[test]
fn many_write_read_and_prune_at_once() {
    let place = place(400_000);
    let content = zip(100_000);
    let zipped = |patch: u64| file(ProxyFileKind::Zip, &format!("v1.0.{patch}"));
    let right = hash(&zipped(0), &content);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for round in 0..40 {
                        let file = zipped(round % 5);
                        let mut content = Cursor::new(&content);
                        place.shelf.keep(&file, right, &mut content).unwrap();
                    }
                })
            })
            .collect();
        let others = [
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    place.shelf.prune(150_000).unwrap();
                }
            }),
            scope.spawn(|| {
                let mut rounds = 0;
                while !over.load(Ordering::Relaxed) {
                    if let Some(found) = place.finds(&zipped(rounds % 5), right) {
                        assert!(found == content);
                    }
                    rounds += 1;
                }
            }),
        ];
        for writer in writers {
            writer.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        for other in others {
            other.join().unwrap();
        }
    });
    assert_eq!(place.shelf.check_all().unwrap().wrong, []);
    place.shelf.prune(400_000).unwrap();
    assert!(place.shelf.stock().unwrap().bytes <= 400_000);
}
