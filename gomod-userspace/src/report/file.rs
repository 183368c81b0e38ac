// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where reports and event streams are written: files that appear whole, or pipes and terminals as they are.
//!
//! Paths are used with the rights of the calling thread: whoever is root on behalf of a user takes that user's first.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Access, AtFlags};
use serde::Serialize;

/// Why a report or an event stream cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// `-` is a file name like any other to the kernel, and a word for standard output to people.
    #[error(
        "cannot write to '-': name a file; for standard output, /dev/stdout; for a descriptor, /dev/fd/N"
    )]
    Dash,
    /// The path names no file.
    #[error("cannot write to '{path}': it names a directory, not a file; add a file name")]
    Directory {
        /// The path as given.
        path: PathBuf,
    },
    /// The directory is missing, or cannot be searched.
    #[error(
        "cannot write '{path}': its directory '{directory}' cannot be used: {source}; create it or name another"
    )]
    NoDirectory {
        /// The path as given.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot write '{path}': {operation}: {source}")]
    Io {
        /// The path as given.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// What a path stands for.
enum Target {
    /// A pipe, terminal, device or inherited descriptor: written as it is.
    Existing,
    /// A regular file, here or still to come; symbolic links resolved.
    Regular(PathBuf),
}

/// Whether `path` can be written, as far as can be told without writing: to say so before the run, not after it.
pub fn check_target(path: &Path) -> Result<(), ReportError> {
    let Target::Regular(target) = resolve(path)? else {
        return Ok(());
    };
    if target.exists() {
        return may(&target, Access::WRITE_OK)
            .map_err(|source| io_error(path, "open for writing", source));
    }
    let directory = target.parent().unwrap_or(Path::new("/"));
    may(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|source| ReportError::NoDirectory {
        path: path.to_owned(),
        directory: directory.to_owned(),
        source,
    })
}

/// Asks the kernel by the rights that count for opening: those of this thread, not those of the process's real user.
fn may(path: &Path, access: Access) -> io::Result<()> {
    Ok(rustix::fs::accessat(
        rustix::fs::CWD,
        path,
        access,
        AtFlags::EACCESS,
    )?)
}

/// Writes `report` as indented JSON.
///
/// A regular file is written beside its place and then renamed, so that readers see the old one or the whole new
/// one. Anything else (`/dev/stdout`, a named pipe) is written to directly.
pub fn write_report(path: &Path, report: &impl Serialize) -> Result<(), ReportError> {
    let failed = |source| io_error(path, "write", source);
    let target = match resolve(path)? {
        Target::Existing => return write_json(open_existing(path)?, report).map_err(failed),
        Target::Regular(target) => target,
    };
    match replace(path, &target, report) {
        // A file may be writable where its directory is not, or where only its owner may replace it.
        Err(ReportError::Io { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied && target.exists() =>
        {
            write_json(create_regular(path, &target)?, report).map_err(failed)
        }
        written => written,
    }
}

fn replace(path: &Path, target: &Path, report: &impl Serialize) -> Result<(), ReportError> {
    let failed = |operation| move |source| io_error(path, operation, source);
    let temporary = beside(target);
    // Left there by a run that was killed; nobody else uses this name.
    let _ = fs::remove_file(&temporary);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&temporary)
        .map_err(failed("create a file beside it"))?;
    let written = write_json(file, report)
        .map_err(failed("write"))
        .and_then(|()| fs::rename(&temporary, target).map_err(failed("rename into place")));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Opens an event stream: a regular file is emptied, anything else is used as it is.
pub fn create_stream(path: &Path) -> Result<File, ReportError> {
    match resolve(path)? {
        Target::Existing => open_existing(path),
        Target::Regular(target) => create_regular(path, &target),
    }
}

/// Links were followed already: one that has appeared since is somebody else's.
fn create_regular(path: &Path, target: &Path) -> Result<File, ReportError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(target)
        .map_err(|source| io_error(path, "create", source))
}

fn resolve(path: &Path) -> Result<Target, ReportError> {
    if path.as_os_str() == "-" {
        return Err(ReportError::Dash);
    }
    let directory_error = || ReportError::Directory {
        path: path.to_owned(),
    };
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(directory_error());
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(directory_error()),
        // An inherited descriptor may be a regular file that the child writes to as well: replacing it would lose
        // what the child wrote, and the link in /dev with it.
        Ok(metadata) if !metadata.is_file() || names_descriptor(path) => {
            return Ok(Target::Existing);
        }
        Ok(_) => {
            return fs::canonicalize(path)
                .map(Target::Regular)
                .map_err(|source| io_error(path, "resolve", source));
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound && !names_descriptor(path) => {}
        Err(source) => return Err(io_error(path, "look it up", source)),
    }
    let Some(name) = path.file_name() else {
        return Err(directory_error());
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let no_directory = |source| ReportError::NoDirectory {
        path: path.to_owned(),
        directory: directory.to_owned(),
        source,
    };
    let resolved = fs::canonicalize(directory).map_err(no_directory)?;
    if !resolved.is_dir() {
        return Err(no_directory(io::ErrorKind::NotADirectory.into()));
    }
    Ok(Target::Regular(resolved.join(name)))
}

/// `/dev/shm` holds files like any other directory.
fn names_descriptor(path: &Path) -> bool {
    (path.starts_with("/dev") && !path.starts_with("/dev/shm")) || path.starts_with("/proc")
}

fn open_existing(path: &Path) -> Result<File, ReportError> {
    // Ours already: opening it again would ask for the right to it, which a terminal made by sudo gives to root alone.
    let own = match path.to_str() {
        Some("/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => {
            Some(io::stdout().as_fd().try_clone_to_owned())
        }
        Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => {
            Some(io::stderr().as_fd().try_clone_to_owned())
        }
        _ => None,
    };
    match own {
        Some(descriptor) => descriptor.map(File::from),
        None => OpenOptions::new().append(true).open(path),
    }
    .map_err(|source| io_error(path, "open", source))
}

/// The name of the file that will be renamed to `target`.
fn beside(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    target.with_file_name(name)
}

fn write_json(file: File, report: &impl Serialize) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(64 * 1024, file);
    serde_json::to_writer_pretty(&mut writer, report)?;
    writer.write_all(b"\n")?;
    writer.flush()
}

fn io_error(path: &Path, operation: &'static str, source: io::Error) -> ReportError {
    ReportError::Io {
        path: path.to_owned(),
        operation,
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read as _,
        os::unix::fs::{MetadataExt as _, symlink},
    };

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_device_names_stand_for_descriptors() {
        assert!(names_descriptor(Path::new("/dev/stdout")));
        assert!(names_descriptor(Path::new("/proc/self/fd/3")));
        assert!(!names_descriptor(Path::new("/dev/shm/report.json")));
        assert!(!names_descriptor(Path::new("/home/u/report.json")));
    }

    #[test]
    fn a_report_replaces_the_old_one_whole_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        fs::write(&path, "x".repeat(10_000)).unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        write_report(&path, &serde_json::json!({"a": 1})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\n  \"a\": 1\n}\n");
        assert_ne!(
            fs::metadata(&path).unwrap().ino(),
            before,
            "renamed, not rewritten"
        );
        assert_eq!(names(directory.path()), ["report.json"]);
    }

    #[test]
    fn a_report_that_cannot_be_made_leaves_the_old_one() {
        struct Unwritable;
        impl Serialize for Unwritable {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no"))
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        fs::write(&path, "old").unwrap();
        write_report(&path, &Unwritable).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(directory.path()), ["report.json"]);
    }

    #[test]
    fn a_symbolic_link_keeps_pointing_at_the_file_that_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real.json");
        let link = directory.path().join("link.json");
        fs::write(&real, "old").unwrap();
        symlink(&real, &link).unwrap();
        write_report(&link, &2).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), real);
        assert_eq!(fs::read_to_string(&real).unwrap(), "2\n");
    }

    #[test]
    fn an_inherited_descriptor_is_appended_to_and_not_replaced() {
        use std::os::fd::AsRawFd as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stdout.txt");
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        file.write_all(b"child\n").unwrap();
        let descriptor = PathBuf::from(format!("/dev/fd/{}", file.as_raw_fd()));
        check_target(&descriptor).unwrap();
        write_report(&descriptor, &3).unwrap();
        writeln!(create_stream(&descriptor).unwrap(), "4").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "child\n3\n4\n");
        assert_eq!(names(directory.path()), ["stdout.txt"]);
    }

    #[test]
    fn a_pipe_is_written_to_directly() {
        use std::os::fd::AsRawFd as _;
        let (mut reader, writer) = io::pipe().unwrap();
        let path = PathBuf::from(format!("/proc/self/fd/{}", writer.as_raw_fd()));
        write_report(&path, &5).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "5\n");
    }

    #[test]
    fn what_cannot_be_written_is_said_before_the_run() {
        let directory = tempfile::tempdir().unwrap();
        let said = |path: PathBuf| check_target(&path).unwrap_err().to_string();
        assert!(said("-".into()).contains("/dev/stdout"));
        assert!(said(directory.path().to_owned()).contains("names a directory"));
        assert!(said(directory.path().join("new/")).contains("names a directory"));
        assert!(
            said(directory.path().join("absent/report.json")).contains("absent' cannot be used")
        );
        assert!(said("/dev/fd/987654".into()).contains("look it up"));
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(said(file.join("report.json")).contains("look it up"));
        check_target(&directory.path().join("report.json")).unwrap();
        assert_eq!(
            names(directory.path()),
            ["file"],
            "checking creates nothing"
        );
    }
}
