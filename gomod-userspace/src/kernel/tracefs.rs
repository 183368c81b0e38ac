// SPDX-License-Identifier: MIT OR Apache-2.0
//! The formats of tracepoints, as this kernel describes them in tracefs.

use std::{fs, io};

/// The format of a tracepoint, as field name and offset.
pub(super) fn format(category: &str, name: &str) -> io::Result<Vec<(String, u32)>> {
    let path = |root: &str| format!("{root}/events/{category}/{name}/format");
    let text = fs::read_to_string(path("/sys/kernel/tracing"))
        .or_else(|_| fs::read_to_string(path("/sys/kernel/debug/tracing")))?;
    Ok(parse(&text))
}

fn parse(format: &str) -> Vec<(String, u32)> {
    format
        .lines()
        .filter_map(|line| {
            let mut parts = line.trim().strip_prefix("field:")?.split(';');
            let declaration = parts.next()?;
            let name = declaration.rsplit([' ', '*']).next()?;
            let name = name.split('[').next()?;
            let offset = parts
                .find_map(|part| part.trim().strip_prefix("offset:"))?
                .parse()
                .ok()?;
            Some((name.to_owned(), offset))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_offsets() {
        let text = "name: x\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
                    \tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;\n\
                    \tfield:const char * name;\toffset:24;\tsize:8;\tsigned:0;\n\
                    \tfield:__u8 saddr[4];\toffset:20;\tsize:4;\tsigned:0;\nprint fmt: \"%s\"\n";
        let expected = [
            ("common_type", 0),
            ("filename", 8),
            ("name", 24),
            ("saddr", 20),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, offset)| ((*name).to_owned(), *offset))
            .collect();
        assert_eq!(parse(text), expected);
    }
}
