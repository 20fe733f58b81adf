//! What clients make of escaped text.

use proptest::prelude::*;

use super::model::{self, Dialect, HOSTILE};
use super::{Escape, MAX_GROWTH, discord, html, mattermost, plain, slack, slack_plain, teams, teams_plain};

/// An escaper, and the model of the clients that read its result.
type Case = (&'static str, Escape, fn(&str) -> Vec<String>);

const CASES: [Case; 8] = [
    ("slack", slack, |text| model::slack(text, &[])),
    ("slack_plain", slack_plain, model::slack_plain),
    ("discord", discord, |text| model::markdown(text, Dialect::Discord)),
    ("teams", teams, |text| model::markdown(text, Dialect::Teams)),
    ("teams_plain", teams_plain, |text| {
        let date = text.contains("{{").then(|| "date".to_owned());
        model::automatic(text).into_iter().chain(date).collect()
    }),
    ("mattermost", mattermost, |text| model::markdown(text, Dialect::Mattermost)),
    ("html", html, model::html),
    ("plain", plain, model::automatic),
];

fn escaped(escape: Escape, text: &str) -> String {
    let mut out = String::new();
    escape(text, &mut out);
    out
}

fn check(text: &str) {
    for (name, escape, model) in CASES {
        let escaped = escaped(escape, text);
        let found = model(&escaped);
        assert!(found.is_empty(), "{name}: {text:?} became {escaped:?}: {found:?}");
        assert!(escaped.len() <= MAX_GROWTH * text.len(), "{name}: {text:?} became {escaped:?}");
        assert!(!escaped.contains(['\n', '\r', '\t']), "{name}: {escaped:?}");
    }
}

#[test]
fn hostile_text_is_only_text() {
    HOSTILE.iter().for_each(|text| check(text));
}

#[test]
fn models_find_what_is_not_escaped() {
    for (text, find) in [
        ("<!channel>", CASES[0].2),
        ("*x*", CASES[0].2),
        ("http://x", CASES[1].2),
        ("@here", CASES[2].2),
        ("[x](y)", CASES[2].2),
        ("{{DATE(x)}}", CASES[3].2),
        ("{{DATE(x)}}", CASES[4].2),
        ("~town-square", CASES[5].2),
        ("#general", CASES[5].2),
        ("1. x", CASES[5].2),
        ("<b>", CASES[6].2),
        ("evil.example", CASES[7].2),
        (":tada:", CASES[7].2),
        ("\u{202e}", CASES[7].2),
    ] {
        assert!(!find(text).is_empty(), "{text}");
    }
}

#[test]
fn ordinary_text_is_not_changed() {
    let ordinary = [
        "",
        "root",
        "decky-03",
        "a b, c; d/e",
        "curl/8.5.0",
        "203.0.113.9",
        "Größe 中文 🦀",
        "12:30:59",
        "a=b?c%20",
    ];
    for text in ordinary {
        for (name, escape, _) in CASES {
            assert_eq!(escaped(escape, text), text, "{name}");
        }
    }
    for address in ["2001:db8::1", "::ffff:192.0.2.1", "00:1a:2b:3c:4d:5e"] {
        assert_eq!(escaped(plain, address), address);
    }
}

#[test]
fn links_and_mentions_are_defanged_visibly() {
    for (text, defanged) in [
        ("http://evil.example/a", "http[:]//evil[.]example/a"),
        ("root@evil.example", "root[@]evil[.]example"),
        ("@here", "[@]here"),
        ("#general", "[#]general"),
        ("C# and a#b", "C# and a#b"),
        (":tada: :+1:", "[:]tada: [:]+1:"),
        ("203.0.113.9/x", "203[.]0[.]113[.]9/x"),
        ("mailto:x", "mailto[:]x"),
        ("<!channel> <b>", "[<]!channel> <b>"),
        ("end. Next: x", "end. Next: x"),
        ("a\u{202e}b\tc\nd", "ab c d"),
    ] {
        assert_eq!(escaped(plain, text), defanged);
    }
}

#[test]
fn each_markup_has_its_own_escapes() {
    let text = "<b> & *x* _y_ `z` a_b ~q \"";
    for (escape, expected) in [
        (slack as Escape, "&lt;b&gt; &amp; ∗x∗ ＿y＿ 'z' a_b ∼q \""),
        (slack_plain, "&lt;b&gt; &amp; *x* _y_ `z` a_b ~q \""),
        (discord, "\\<b\\> & \\*x\\* \\_y\\_ \\`z\\` a\\_b \\~q \""),
        (teams, "&lt;b&gt; &amp; \\*x\\* \\_y\\_ \\`z\\` a\\_b \\~q \""),
        (mattermost, "&lt;b&gt; &amp; \\*x\\* \\_y\\_ \\`z\\` a\\_b \\[\\~\\]q \""),
        (html, "&lt;b&gt; &amp; *x* _y_ `z` a_b ~q &quot;"),
        (plain, text),
    ] {
        assert_eq!(escaped(escape, text), expected);
    }
}

#[test]
fn long_hostile_text_takes_linear_time() {
    for unit in ["1.", ":", ":a", "@", "-", " ", "$", "a.", "#a", "mailto:"] {
        let text = unit.repeat(100_000 / unit.len());
        for (_, escape, _) in CASES {
            assert!(escaped(escape, &text).len() <= MAX_GROWTH * text.len());
        }
    }
    check(&format!("{}{}", " ".repeat(100_000), "-".repeat(100)));
}

fn hostile_text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        3 => prop::sample::select(HOSTILE).prop_map(str::to_owned),
        2 => "[\\[\\]()<>@#:/.*_~`|!&;\\\\$ {}=+\\-0-9a-z]{1,6}",
        1 => "\\PC{1,3}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(fragment, 0..8).prop_map(|fragments| fragments.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_links_mentions_or_formats(text in hostile_text()) {
        check(&text);
    }
}
