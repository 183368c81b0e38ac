// SPDX-License-Identifier: MIT OR Apache-2.0
//! GOSUMDB: `off`, `KEY` or `KEY URL`, where KEY is a name that `go` knows or a verifier key `NAME+HASH+KEY`.
//!
//! Rules: `dbDial` of cmd/go/internal/modfetch.

use crate::golang::base_url::BaseUrl;

/// The verifier key of sum.golang.org, the one name that every `go` knows.
const SUM_GOLANG_ORG: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

/// The setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SumdbSetting {
    /// No checksum database; a toolchain cannot be downloaded then.
    Off,
    /// This one.
    Database(Box<Sumdb>),
    /// Nothing that `go` could use: it stops as soon as it needs a database.
    Unusable {
        /// What is wrong.
        reason: &'static str,
    },
}

/// A checksum database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sumdb {
    /// Its name, `HOST` or `HOST/PATH`: what stands in `/sumdb/NAME/…` at a module proxy, and in its signatures.
    pub name: String,
    /// Its verifier key, `NAME+HASH+KEY`.
    pub key: String,
    /// The URL that was set: then neither module proxies nor the name's own host are asked.
    pub explicit: Option<BaseUrl>,
    /// `https://NAME`: asked if no module proxy answers for the database.
    pub direct: BaseUrl,
}

impl SumdbSetting {
    /// Reads a value; empty if it is not set anywhere.
    pub fn parse(value: &str) -> Self {
        // A second door to the same database, for users in China.
        let value = match value {
            "off" => return Self::Off,
            "sum.golang.google.cn" => "sum.golang.org https://sum.golang.google.cn",
            other => other,
        };
        match database(value) {
            Ok(database) => Self::Database(Box::new(database)),
            Err(reason) => Self::Unusable { reason },
        }
    }

    /// The database, if there is a usable one.
    pub fn database(&self) -> Option<&Sumdb> {
        match self {
            Self::Database(database) => Some(database),
            Self::Off | Self::Unusable { .. } => None,
        }
    }
}

impl Sumdb {
    /// Where it is asked when not through a module proxy.
    pub fn own_url(&self) -> &BaseUrl {
        self.explicit.as_ref().unwrap_or(&self.direct)
    }
}

fn database(value: &str) -> Result<Sumdb, &'static str> {
    let mut fields = value.split_whitespace();
    let key = match fields.next().ok_or("GOSUMDB is empty")? {
        "sum.golang.org" => SUM_GOLANG_ORG,
        key => key,
    };
    let explicit = fields
        .next()
        .map(|url| BaseUrl::parse(url).map_err(|_| "GOSUMDB's URL is not understood"))
        .transpose()?;
    if fields.next().is_some() {
        return Err("GOSUMDB has more than a key and a URL");
    }
    let (name, rest) = key
        .split_once('+')
        .ok_or("GOSUMDB names no known database and is no verifier key (NAME+HASH+KEY)")?;
    if !rest.contains('+') {
        return Err("GOSUMDB's verifier key is not of the form NAME+HASH+KEY");
    }
    let malformed = "GOSUMDB's verifier key has a name that is not of the form HOST or HOST/PATH";
    let direct = BaseUrl::parse(&format!("https://{name}")).map_err(|_| malformed)?;
    if direct.host().is_empty()
        || direct.has_user_info()
        || name.ends_with('/')
        || name.contains('%')
    {
        return Err(malformed);
    }
    Ok(Sumdb {
        name: name.to_owned(),
        key: key.to_owned(),
        explicit,
        direct,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(value: &str) -> Option<String> {
        let setting = SumdbSetting::parse(value);
        setting
            .database()
            .map(|database| database.own_url().to_string())
    }

    #[test]
    fn names_keys_and_urls() {
        for (value, expected) in [
            ("sum.golang.org", Some("https://sum.golang.org")),
            ("sum.golang.google.cn", Some("https://sum.golang.google.cn")),
            (
                "sum.golang.org https://mirror.example/sum",
                Some("https://mirror.example/sum"),
            ),
            (
                "sum.example/path+033de0ae+Ac4z",
                Some("https://sum.example/path"),
            ),
            ("off", None),
            ("", None),
            ("sum.example", None),
            ("sum.example+033de0ae", None),
            ("u@sum.example+033de0ae+Ac4z", None),
            ("sum.example/+033de0ae+Ac4z", None),
            ("sum.golang.org https://a.example more", None),
            ("sum.golang.org nonsense", None),
        ] {
            assert_eq!(host(value).as_deref(), expected, "{value}");
        }
        assert_eq!(SumdbSetting::parse("off"), SumdbSetting::Off);
        let setting = SumdbSetting::parse("sum.golang.google.cn");
        assert_eq!(setting.database().unwrap().name, "sum.golang.org");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = SumdbSetting::parse(&text);
        }
    }
}
