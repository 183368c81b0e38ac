// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hosts beside the module proxy: private ones, repositories, a company's proxy; and toolchains.

use std::process::Command;

use gomod_lab::{
    DIRECT, GIT, Lab, Modules, PRIVATE, PRIVATE_LOGIN, PROXY, Project, WEB_PROXY, WEB_PROXY_LOGIN,
    WEB_PROXY_PORT, toolchain,
};
use libtest_mimic::Trial;

use crate::support::{LONG, Outcome, Ran, newest, run, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial!(private_modules_need_the_login),
        trial!(repositories_are_cloned),
        trial!(a_company_s_proxy_needs_the_login),
        trial!(plain_http_is_served),
        trial!(a_newer_toolchain_is_downloaded_and_runs),
        trial!(a_large_module_is_served),
    ]
}

fn download(
    project: &Project<'_>,
    environment: &[(&str, &str)],
) -> Result<Ran, Box<dyn std::error::Error>> {
    let mut command: Command = project.go(&newest()?, ["mod", "download"]);
    command.envs(environment.iter().copied());
    run(command, LONG)
}

fn private_modules_need_the_login() -> Outcome {
    let lab = Lab::builder()
        .modules(Modules::many(1))
        .private_modules(2)
        .start()?;
    let environment = [("GOPRIVATE", PRIVATE)];
    let project = lab.project()?;
    let ran = download(&project, &environment)?;
    assert!(ran.succeeded(), "{ran:?}");
    for request in lab.requests() {
        let login = request.authorization.as_deref();
        assert!(
            login.is_none()
                || (request.host == PRIVATE && login == Some(PRIVATE_LOGIN.basic().as_str())),
            "{request:?}"
        );
    }
    let project = lab.project()?;
    std::fs::remove_file(project.home().join(".netrc"))?;
    let ran = download(&project, &environment)?;
    assert!(ran.stderr.contains("401 Unauthorized"), "{ran:?}");
    Ok(())
}

fn repositories_are_cloned() -> Outcome {
    let lab = Lab::builder()
        .modules(Modules::many(1))
        .git_modules(2)
        .start()?;
    let ran = download(&lab.project()?, &[("GOPRIVATE", GIT)])?;
    assert!(ran.succeeded(), "{ran:?}");
    let requests = lab.requests();
    for module in lab.git_modules() {
        let place = module.path.strip_prefix(GIT).unwrap_or_default();
        let pack = format!("{place}/git-upload-pack");
        assert!(
            requests
                .iter()
                .any(|request| request.host == GIT && request.path == pack),
            "{requests:#?}"
        );
    }
    Ok(())
}

fn a_company_s_proxy_needs_the_login() -> Outcome {
    let lab = Lab::builder().modules(Modules::many(2)).start()?;
    let url = |password: &str| {
        let name = WEB_PROXY_LOGIN.name;
        format!("http://{name}:{password}@{WEB_PROXY}:{WEB_PROXY_PORT}")
    };
    let ran = download(&lab.project()?, &[("HTTPS_PROXY", &url("wrong"))])?;
    assert!(ran.stderr.contains("Who Are You"), "{ran:?}");
    let url = url(WEB_PROXY_LOGIN.password);
    let ran = download(&lab.project()?, &[("HTTPS_PROXY", &url)])?;
    assert!(ran.succeeded(), "{ran:?}");
    assert!(lab.requests().iter().any(|request| {
        request.host == WEB_PROXY && request.path == format!("{PROXY}:443") && request.status == 200
    }));
    lab.set_fault(format!("status=403,host={WEB_PROXY}").parse::<gomod_lab::Fault>()?)?;
    let ran = download(&lab.project()?, &[("HTTPS_PROXY", &url)])?;
    assert!(ran.stderr.contains("The Lab Says So"), "{ran:?}");
    Ok(())
}

fn plain_http_is_served() -> Outcome {
    let lab = Lab::builder().modules(Modules::many(2)).start()?;
    let proxy = format!("http://{PROXY}");
    let ran = download(&lab.project()?, &[("GOPROXY", &proxy)])?;
    assert!(ran.succeeded(), "{ran:?}");
    lab.set_fault("tls-close,host=code.example.org".parse::<gomod_lab::Fault>()?)?;
    let environment = [("GOPROXY", "direct"), ("GOINSECURE", DIRECT)];
    let ran = download(&lab.project()?, &environment)?;
    assert!(ran.succeeded(), "{ran:?}");
    assert!(
        lab.requests()
            .iter()
            .all(|request| !request.secure && (request.host == PROXY || request.host == DIRECT))
    );
    Ok(())
}

fn a_newer_toolchain_is_downloaded_and_runs() -> Outcome {
    let (old, new) = (toolchain::find("1.26")?, newest()?);
    let lab = Lab::builder()
        .modules(Modules::many(1))
        .toolchain(new.clone())
        .start()?;
    let project = lab.project()?.asking_for(&new)?;
    let mut command = project.go(&old, ["version"]);
    command.env("GOTOOLCHAIN", "auto");
    let ran = run(command, LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    assert!(
        ran.stdout.contains(&format!("go{} ", new.version)),
        "{ran:?}"
    );
    Ok(())
}

fn a_large_module_is_served() -> Outcome {
    let lab = Lab::builder()
        .modules(Modules::many(1))
        .large_module(20_000_000)
        .start()?;
    let ran = download(&lab.project()?, &[])?;
    assert!(ran.succeeded(), "{ran:?}");
    let largest = lab
        .requests()
        .iter()
        .map(|request| request.body_bytes)
        .max();
    assert!(largest > Some(20_000_000), "{largest:?}");
    Ok(())
}
