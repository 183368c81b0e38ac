// SPDX-License-Identifier: MIT OR Apache-2.0
//! go.mod and go.work files as people and `go` write them.

use super::*;
use crate::golang::GoWork;
use proptest::prelude::*;

const FILE: &[u8] = br#"// A comment.
module "example.com/m" // the main one

go 1.21.0
toolchain go1.27.3

require example.com/one v1.0.0
require (
	example.com/Two v1.2.0 // indirect
	example.com/three v1.3.0 // indirect; comment
	example.com/local v1.4.0
	example.com/fork v1.5.0
	example.com/out v1.6.0
)

replace example.com/local => ../local
replace (
	example.com/fork v1.5.0 => example.com/Forked v1.5.1
	example.com/fork => ./never
)
exclude example.com/out v1.6.0
retract [v1.0.0, v1.1.0] // broken
tool example.com/one/cmd
"#;

fn at(path: &str, version: &str) -> ModuleVersion {
    ModuleVersion {
        path: path.into(),
        version: version.into(),
    }
}

#[test]
fn counts_what_will_be_downloaded() {
    let file = GoMod::parse(FILE);
    assert_eq!(file.errors, []);
    assert_eq!(file.module.as_deref(), Some("example.com/m"));
    assert_eq!(file.toolchain.as_deref(), Some("go1.27.3"));
    assert_eq!(
        file.requires
            .iter()
            .filter(|require| require.indirect)
            .count(),
        2
    );
    let expected = [
        at("example.com/Forked", "v1.5.1"),
        at("example.com/Two", "v1.2.0"),
        at("example.com/one", "v1.0.0"),
        at("example.com/three", "v1.3.0"),
    ];
    assert_eq!(file.downloads(), BTreeSet::from(expected));
    assert!(file.lists_whole_build());
}

#[test]
fn before_pruning_the_list_is_not_whole() {
    for (go, whole) in [
        ("1.16", false),
        ("1.17", true),
        ("1.21rc2", true),
        ("1.9", false),
        ("2.0", true),
        ("x", false),
    ] {
        assert_eq!(
            GoMod::parse(format!("go {go}\n").as_bytes()).lists_whole_build(),
            whole,
            "{go}"
        );
    }
    assert!(!GoMod::parse(b"module a.b\n").lists_whole_build());
}

#[test]
fn a_wrong_line_is_named_and_the_rest_is_kept() {
    let file = GoMod::parse(b"module a.b/c\nrequire x.y/z\nrequire x.y/z latest\nfoo\nrequire (\n\tx.y/z v1.0.0\n\t\"x\n");
    assert_eq!(file.requires.len(), 1);
    let lines: Vec<_> = file.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 3, 4, 7, 5]);
    assert!(
        file.errors[1].to_string().starts_with("line 3: \"latest\""),
        "{}",
        file.errors[1]
    );
}

#[test]
fn a_workspace_lists_its_modules() {
    let file =
        GoWork::parse(b"go 1.22\nuse ./a\nuse (\n\t../b\n\t`c d`\n)\nreplace x.y/z => ./z\n");
    assert_eq!(
        (file.uses, file.replaces.len(), file.errors.len()),
        (vec!["./a".into(), "../b".into(), "c d".into()], 1, 0)
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), text in "[a-z(){}\"`/ \n\t=>.ü]{0,200}") {
        let _ = GoMod::parse(&bytes).downloads();
        let _ = GoMod::parse(text.as_bytes()).downloads();
        let _ = GoWork::parse(text.as_bytes());
    }

    #[test]
    fn changed_files_never_panic(at in 0usize..600, byte: u8, len in 0usize..700) {
        let mut bytes = FILE.to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(len);
        let _ = GoMod::parse(&bytes).downloads();
    }
}
