// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use proptest::prelude::*;

/// What Go ships since 1.21.
const GO_ENV: &str = "# comment\n\nGOPROXY=https://proxy.golang.org,direct\nGOSUMDB=sum.golang.org\n\nGOTOOLCHAIN=auto\n";

fn file(text: &str) -> EnvFile {
    EnvFile::Content { bytes: text.into() }
}

fn settings(entries: &[&str], user: &str) -> Result<Settings, SettingsError> {
    Settings::effective(&Sources {
        environment: &Environment::from_entries(entries),
        user_file: &file(user),
        goroot_file: &file(GO_ENV),
        go_version: None,
    })
}

fn hosts(settings: &Settings) -> Vec<String> {
    settings
        .module_hosts()
        .into_iter()
        .map(|(host, port)| format!("{host}:{port}"))
        .collect()
}

#[test]
fn nothing_set_is_what_go_ships() {
    let settings = settings(&["HOME=/home/me"], "").unwrap();
    assert_eq!(
        hosts(&settings),
        ["proxy.golang.org:443", "sum.golang.org:443"]
    );
    assert_eq!(settings.mod_cache, Some("/home/me/go/pkg/mod".into()));
    assert_eq!(settings.toolchain, "auto");
    assert_eq!(settings.workspace, Workspace::Search);
    assert_eq!(settings.auth.goauth, "netrc");
    assert_eq!(settings.auth.netrc, Some("/home/me/.netrc".into()));
    let route = settings.route("example.com/a");
    assert!(route.sumdb);
    assert_eq!(
        route.first_proxy().unwrap().to_string(),
        "https://proxy.golang.org"
    );
}

#[test]
fn hosts_come_from_every_layer_and_lose_their_credentials() {
    let settings = settings(
        &["GOPROXY=https://me:secret@Corp.example:8443/go|http://plain.example,direct"],
        "GOPROXY=https://never.example\nGOSUMDB=sum.golang.google.cn\n",
    )
    .unwrap();
    assert_eq!(
        hosts(&settings),
        ["corp.example:8443", "sum.golang.google.cn:443"]
    );
    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn private_modules_stay_private() {
    let settings = settings(
        &[],
        "GOPRIVATE=*.corp.example,priv.example/x\nGONOSUMDB=none\n",
    )
    .unwrap();
    let route = settings.route("git.corp.example/a");
    assert_eq!((route.first_proxy(), route.sumdb), (None, true));
    assert_eq!(route.entries[0].source, ProxySource::Direct);
    assert!(settings.route("priv.example/y").first_proxy().is_some());
    let settings = self::settings(&["GOPRIVATE=priv.example", "GONOPROXY=none"], "").unwrap();
    let route = settings.route("priv.example/a");
    assert_eq!((route.first_proxy().is_some(), route.sumdb), (true, false));
    // `off` forbids all but what matches GONOPROXY.
    let settings = self::settings(&["GOPRIVATE=priv.example", "GOPROXY=off"], "").unwrap();
    assert_eq!(
        settings.route("priv.example").entries[0].source,
        ProxySource::Direct
    );
    assert_eq!(
        settings.route("else.example").entries[0].source,
        ProxySource::Off
    );
}

#[test]
fn toolchains_are_always_checked() {
    let off = settings(&["GOSUMDB=off", "GONOSUMDB=golang.org/*"], "").unwrap();
    assert!(off.route("golang.org/toolchain").sumdb);
    assert!(!off.route("golang.org/x/mod").sumdb);
    assert_eq!(hosts(&off), ["proxy.golang.org:443"]);
    let directory = settings(&["GOSUMDB=off", "GOPROXY=file:///srv/go"], "").unwrap();
    assert!(!directory.route("golang.org/toolchain").sumdb);
    assert_eq!(hosts(&directory), [] as [&str; 0]);
}

#[test]
fn built_in_values_are_taken_only_from_a_go_that_has_them() {
    let environment = Environment::default();
    let with = |version: Option<&str>| {
        let version = version.and_then(GoVersion::parse);
        Settings::effective(&Sources {
            environment: &environment,
            user_file: &EnvFile::Missing,
            goroot_file: &EnvFile::Missing,
            go_version: version.as_ref(),
        })
    };
    assert_eq!(hosts(&with(Some("1.20.4")).unwrap()).len(), 2);
    for version in [None, Some("1.21rc1"), Some("1.27.3")] {
        assert_eq!(
            with(version),
            Err(SettingsError::Proxies(ProxyListError::Empty))
        );
    }
}

#[test]
fn the_cache_follows_gopath() {
    for (entries, expected) in [
        (&["HOME=/h", "GOPATH=/a:/b"][..], Some("/a/pkg/mod")),
        (&["HOME=/h", "GOPATH=/a:/b", "GOMODCACHE=/c"], Some("/c")),
        (&["HOME=/h", "GOMODCACHE=c"], None),
        (&["HOME=/h", "GOPATH=:/b"], None),
        (&[], None),
    ] {
        assert_eq!(
            settings(entries, "").unwrap().mod_cache,
            expected.map(PathBuf::from),
            "{entries:?}"
        );
    }
}

#[test]
fn what_is_not_understood_is_an_error() {
    for entry in [
        "GOFLAGS=mod",
        "HTTPS_PROXY=gopher://x.example",
        "GOPROXY=ftp://x.example",
        "GOPROXY=,",
    ] {
        assert!(settings(&[entry], "").is_err(), "{entry}");
    }
    let environment = Environment::from_entries([b"https_proxy=\xff".as_slice()]);
    let sources = Sources {
        environment: &environment,
        user_file: &EnvFile::Missing,
        goroot_file: &file(GO_ENV),
        go_version: None,
    };
    assert!(matches!(
        Settings::effective(&sources),
        Err(SettingsError::NotUtf8 {
            name: "https_proxy"
        })
    ));
}

proptest! {
    #[test]
    fn a_private_module_never_has_a_proxy(host in "[a-z]{1,8}\\.[a-z]{2,3}", below in "(/[a-z]{1,5}){0,3}", proxies in "[a-z.:/|,]{0,30}") {
        let proxies = format!("GOPROXY=https://p.example,{proxies}");
        let private = format!("GOPRIVATE={host}");
        if let Ok(settings) = settings(&[&proxies, &private], "") {
            let module = format!("{host}{below}");
            prop_assert_eq!(settings.route(&module).first_proxy(), None);
            prop_assert!(!settings.route(&module).sumdb);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(block in any::<Vec<u8>>(), user in any::<Vec<u8>>()) {
        let _ = Settings::effective(&Sources {
            environment: &Environment::from_block(&block),
            user_file: &EnvFile::Content { bytes: user },
            goroot_file: &file(GO_ENV),
            go_version: None,
        });
    }
}
