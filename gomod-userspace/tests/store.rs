// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store on real file systems and with real users: a full disk, a directory of another user, links that lead
//! elsewhere, processes at once. What needs root says so and is ignored without.
//!
//! The test executable is its own helper: called with `--keep DIRECTORY` it is one of several processes at once.
#![expect(clippy::unwrap_used, reason = "a test panics on failure")]

use std::ffi::CString;
use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gomod_trace::accelerator::Sums;
use gomod_trace::accelerator::engine::Stored;
use gomod_trace::accelerator::spool::spool;
use gomod_trace::accelerator::store::{Kept, Shelf, Store, StoreError};
use gomod_trace::golang::{GoSum, H1, ModuleVersion, ProxyFile, ProxyFileKind};
use gomod_trace::launch::{Invoker, Source};
use libtest_mimic::{Arguments, Completion, Trial};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use zip::write::{SimpleFileOptions, ZipWriter};

fn main() {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "--keep") {
        return keep_and_prune(&PathBuf::from(words.next().unwrap()));
    }
    let arguments = Arguments::from_args();
    let tests: [(&str, fn(), bool); 7] = [
        ("processes_at_once_do_not_harm_each_other", processes, false),
        ("a_file_system_that_hangs_is_left_alone", hanging, false),
        ("a_full_disk_leaves_nothing_behind", full_disk, true),
        ("its_threads_have_the_callers_rights_alone", rights, true),
        ("files_belong_to_the_caller", ownership, true),
        ("a_link_does_not_lead_root_elsewhere", links, true),
        ("a_caller_without_a_home_is_told", no_home, true),
    ];
    let trials = tests
        .into_iter()
        .map(|(name, test, needs_root)| {
            Trial::ignorable_test(name, move || {
                if needs_root && !nix::unistd::geteuid().is_root() {
                    return Ok(Completion::ignored_with("needs root"));
                }
                test();
                Ok(Completion::Completed)
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn zip(size: usize) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer
        .start_file("example.com/m@v1.0.0/a", options)
        .unwrap();
    writer.write_all(&vec![b'a'; size]).unwrap();
    writer.finish().unwrap().into_inner()
}

fn file(patch: usize) -> ProxyFile {
    ProxyFile {
        kind: ProxyFileKind::Zip,
        module: ModuleVersion {
            path: "example.com/m".to_owned(),
            version: format!("v1.0.{patch}"),
        },
    }
}

fn keep(shelf: &Shelf, patch: usize, bytes: &[u8]) -> Result<Kept, StoreError> {
    let hash = H1::of_zip(Cursor::new(bytes)).unwrap();
    shelf.keep(&file(patch), hash, &mut Cursor::new(bytes))
}

/// All files below a directory; links are not followed.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

const FILES: usize = 8;
const SIZE: usize = 100_000;
/// Room for half of the files.
const LIMIT: u64 = (FILES * SIZE / 2) as u64;

/// One of several processes.
fn keep_and_prune(directory: &Path) {
    let owner = nix::unistd::geteuid().as_raw();
    let shelf = Shelf::open_or_make(directory, owner, LIMIT).unwrap();
    let bytes = zip(SIZE);
    let hash = H1::of_zip(Cursor::new(&bytes)).unwrap();
    for round in 0..60 {
        let patch = (round * 3 + std::process::id() as usize) % FILES;
        keep(&shelf, patch, &bytes).unwrap();
        if let Some(opened) = shelf.open(&file(round % FILES), hash).unwrap() {
            // What others prune meanwhile stays open here; what is found is whole.
            assert!(shelf.check(&file(round % FILES), opened).unwrap().is_some());
        }
    }
}

fn processes() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let children: Vec<_> = (0..4)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .arg("--keep")
                .arg(&store)
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let owner = nix::unistd::geteuid().as_raw();
    let shelf = Shelf::open_existing(&store, owner, LIMIT).unwrap().unwrap();
    let checked = shelf.check_all().unwrap();
    assert_eq!(checked.wrong, []);
    shelf.prune(LIMIT).unwrap();
    assert!(shelf.stock().unwrap().bytes <= LIMIT);
}

/// Runs on a thread with a mount namespace of its own, which ends with it.
fn with_small_disk(work: impl FnOnce(&Path) + Send) {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                unshare(CloneFlags::CLONE_NEWNS).unwrap();
                let none = None::<&str>;
                let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
                mount(none, "/", none, private, none).unwrap();
                let options = Some("size=1m,mode=755");
                let flags = MsFlags::empty();
                mount(
                    Some("tmpfs"),
                    directory.path(),
                    Some("tmpfs"),
                    flags,
                    options,
                )
                .unwrap();
                work(directory.path());
            })
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn full_disk() {
    with_small_disk(|disk| {
        let shelf = Shelf::open_or_make(&disk.join("store"), 0, 1 << 30).unwrap();
        assert_eq!(keep(&shelf, 0, &zip(300_000)).unwrap(), Kept::New);
        let error = keep(&shelf, 1, &zip(900_000)).unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
        // In parts, too.
        let error = keep(&shelf, 2, &zip(20 << 20)).unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
        let files = walk(disk);
        assert_eq!(files.len(), 3, "{files:?}");
        let checked = shelf.check_all().unwrap();
        assert_eq!((checked.right, checked.wrong.len()), (1, 0));
        // With room again, it goes on.
        assert_eq!(keep(&shelf, 1, &zip(300_000)).unwrap(), Kept::New);
    });
}

/// A named pipe nobody writes to: to open it takes for ever, as on a network file system whose server is gone.
fn hanging() {
    let home = tempfile::tempdir().unwrap();
    let caller = Invoker {
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        groups: Vec::new(),
        umask: None,
        source: Source::Plain,
        ..caller(home.path())
    };
    let store = Store::open(&caller, 1 << 30).unwrap();
    let record = store.directory().join("sums/example.com/m/@v/v1.0.0.zip");
    fs::create_dir_all(record.parent().unwrap()).unwrap();
    nix::unistd::mkfifo(&record, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let runtime = runtime();
    let hash = H1::of_go_mod(b"");
    assert!(runtime.block_on(store.find(&file(0), hash)).is_none());
    let said = store.problem().unwrap();
    assert!(said.contains("takes too long"), "{said}");
    // It is not asked again, not even for what it could answer.
    fs::remove_file(&record).unwrap();
    assert!(!runtime.block_on(store.has(&file(0), hash)));
}

/// As under sudo, for a user that nobody else has.
fn caller(home: &Path) -> Invoker {
    Invoker {
        uid: 54_321,
        gid: 54_322,
        groups: vec![54_323],
        environment: vec![CString::new(format!("HOME={}", home.display())).unwrap()],
        umask: Some(0o002),
        source: Source::Sudo {
            pid: 1,
            assigned: Vec::new(),
        },
    }
}

/// A home directory of [`caller`].
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    nix::unistd::chown(home.path(), Some(54_321.into()), Some(54_322.into())).unwrap();
    home
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn rights() {
    let home = home();
    let caller = caller(home.path());
    let file = home.path().join("file");
    let (sender, receiver) = std::sync::mpsc::channel();
    // A thread with a umask that lets everybody write.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS).unwrap();
            nix::sys::stat::umask(nix::sys::stat::Mode::empty());
            let work = move || {
                fs::write(&file, "").unwrap();
                let metadata = fs::metadata(&file).unwrap();
                let status = fs::read_to_string("/proc/thread-self/status").unwrap();
                sender.send((metadata, status)).unwrap();
            };
            caller.spawn_with_file_rights("rights", work).unwrap();
        });
    });
    let (metadata, status) = receiver.recv().unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!((metadata.uid(), metadata.gid()), (54_321, 54_322));
    assert_eq!(metadata.mode() & 0o777, 0o644);
    assert_eq!(field("Uid:"), ["0", "0", "0", "54321"]);
    assert_eq!(field("Gid:"), ["0", "0", "0", "54322"]);
    assert_eq!(field("Groups:"), ["54323"]);
    for set in ["CapInh:", "CapPrm:", "CapEff:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
}

/// A run that receives one zip, through the same threads as the real one; what went wrong.
fn receive(caller: &Invoker, bytes: &[u8]) -> Result<Option<String>, StoreError> {
    let store = Store::open(caller, 1 << 30)?;
    let sums = Arc::new(Sums::default());
    let hash = H1::of_zip(Cursor::new(bytes)).unwrap();
    sums.add(&GoSum::parse(
        format!("example.com/m v1.0.0 {hash}").as_bytes(),
    ));
    let runtime = runtime();
    Ok(runtime.block_on(async {
        let stored = Stored::new(store, sums);
        let (mut writer, body) = spool();
        writer.write(bytes.to_vec().into()).unwrap();
        writer.finish();
        stored.receive(file(0), body);
        assert!(stored.settle(Duration::from_secs(60)).await);
        stored.problem().map(str::to_owned)
    }))
}

fn ownership() {
    let home = home();
    assert_eq!(receive(&caller(home.path()), &zip(SIZE)).unwrap(), None);
    let store = home.path().join(".cache/gomod-trace");
    let files = walk(&store);
    assert_eq!(files.len(), 3, "{files:?}");
    let above = files
        .iter()
        .flat_map(|file| file.ancestors())
        .filter(|path| path.starts_with(home.path()));
    for path in above {
        let metadata = fs::metadata(path).unwrap();
        let owner = (metadata.uid(), metadata.gid());
        assert_eq!(owner, (54_321, 54_322), "{}", path.display());
        assert_eq!(
            metadata.permissions().mode() & 0o022,
            0,
            "{}",
            path.display()
        );
    }
}

fn links() {
    let root_s = tempfile::tempdir().unwrap();
    let target = root_s.path().join("target");
    fs::create_dir(&target).unwrap();
    fs::set_permissions(root_s.path(), fs::Permissions::from_mode(0o755)).unwrap();

    // The store itself, and a directory in it.
    for link in [".cache/gomod-trace", ".cache/gomod-trace/download"] {
        let home = home();
        let link = home.path().join(link);
        let caller = caller(home.path());
        let above = link.parent().unwrap();
        caller
            .with_file_rights(|| {
                fs::create_dir_all(above).unwrap();
                fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
                symlink(&target, &link).unwrap();
            })
            .unwrap();
        let said = match receive(&caller, &zip(SIZE)) {
            Ok(problem) => problem.expect("root's directory was written to"),
            Err(error) => error.to_string(),
        };
        assert!(
            said.contains("belongs to another user") || said.contains("Permission denied"),
            "{said}"
        );
        assert_eq!(walk(root_s.path()), Vec::<PathBuf>::new());
    }

    // A file that root alone may read is not served, whatever the record says.
    let home = home();
    let caller = caller(home.path());
    let bytes = zip(SIZE);
    receive(&caller, &bytes).unwrap();
    let secret = root_s.path().join("secret");
    fs::write(&secret, &bytes).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let zipped = home
        .path()
        .join(".cache/gomod-trace/download/example.com/m/@v/v1.0.0.zip");
    fs::remove_file(&zipped).unwrap();
    symlink(&secret, &zipped).unwrap();
    let store = Store::open(&caller, 1 << 30).unwrap();
    let hash = H1::of_zip(Cursor::new(&bytes)).unwrap();
    let runtime = runtime();
    assert!(runtime.block_on(store.find(&file(0), hash)).is_none());
    assert!(secret.exists());
}

fn no_home() {
    // A home that is root's, and none at all.
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = receive(&caller(home.path()), &zip(10)).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("Permission denied"), "{said}");
    assert!(said.contains(".cache/gomod-trace"), "{said}");
    let error = receive(&caller(Path::new("relative")), &zip(10)).unwrap_err();
    assert!(matches!(error, StoreError::NoDirectory), "{error}");
    assert_eq!(walk(home.path()), Vec::<PathBuf>::new());
}
