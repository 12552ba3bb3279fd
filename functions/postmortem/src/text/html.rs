//! The document as a page. Of HTML in the Markdown, nothing but text is left, and links lead to web pages only.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, html};
use shared::runtime::language::Language;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.25rem .5rem;text-align:left;vertical-align:top}\
code{background:#eee}";

/// A page of a document in Markdown.
pub(crate) fn page(title: &str, markdown: &str, language: Language) -> String {
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(|event| match event {
        // Comments are marks for programs.
        Event::Html(text) | Event::InlineHtml(text) if text.trim_start().starts_with("<!--") => {
            Event::Text(CowStr::Borrowed(""))
        }
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: safe(dest_url), title, id })
        }
        // The page loads nothing.
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: safe(dest_url), title, id })
        }
        Event::End(pulldown_cmark::TagEnd::Image) => Event::End(pulldown_cmark::TagEnd::Link),
        event => event,
    });
    let mut body = String::new();
    html::push_html(&mut body, events);
    let lang = language.pick("pt-BR", "en");
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn safe(address: CowStr<'_>) -> CowStr<'_> {
    let is_web = ["https://", "http://", "mailto:", "#"].iter().any(|begin| address.starts_with(begin));
    if is_web { address } else { CowStr::Borrowed("#") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_and_scripts_of_a_document_are_text() {
        let markdown = "# T <b>x</b>\n\n<script>alert(1)</script>\n\n[a](javascript:alert(1)) [b](https://example.org) ![c](http://x/y.png)\n\n<!-- mark -->\n\n| a | b |\n| --- | --- |\n| `<i>` | 2 |\n";
        let page = page("<T>", markdown, Language::Portuguese);
        let body = page.split("<body>").nth(1).unwrap();
        for absent in ["<script", "<b>", "<img", "javascript:", "mark", "<i>"] {
            assert!(!body.contains(absent), "{absent} is in {body}");
        }
        for part in ["&lt;script&gt;", "<table>", "href=\"https://example.org\"", "&lt;i&gt;"] {
            assert!(body.contains(part), "{part} is not in {body}");
        }
        assert!(page.contains("<title>&lt;T&gt;</title>") && page.contains("lang=\"pt-BR\""));
    }
}
