// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a crash leaves in a directory: files that [`LocalFileSystem`](object_store::local::LocalFileSystem) was writing,
//! which are called like the object, `#` and a number, and which it does not list.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// The deepest directory that is looked at; a module path of 1024 letters has 512 elements.
const DEEPEST: usize = 520;

/// Removes those that nobody has written to for this long. What can't be read or removed stays; links are not followed.
pub(super) fn unfinished(directory: &Path, age: Duration) {
    let mut directories = vec![(directory.to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() && depth < DEEPEST {
                directories.push((entry.path(), depth + 1));
            } else if kind.is_file() && is_unfinished(&entry.file_name().to_string_lossy()) {
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                let is_old = modified
                    .is_ok_and(|modified| modified.elapsed().is_ok_and(|passed| passed >= age));
                if is_old {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }
}

fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_unfinished_files_go() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("a/@v");
        fs::create_dir_all(&inside).unwrap();
        for name in ["v1.0.0.zip", "v1.0.0.zip#1", "v1.0.0.zip#", "#x"] {
            fs::write(inside.join(name), name).unwrap();
        }
        unfinished(directory.path(), Duration::from_secs(600));
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 4);
        unfinished(directory.path(), Duration::ZERO);
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 3);
        assert!(!inside.join("v1.0.0.zip#1").exists());
        unfinished(Path::new("/nowhere/at/all"), Duration::ZERO);
    }
}
