//! A report as one HTML page.

use std::fmt::Write as _;

use super::document::{Block, Document};

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse}td,th{border:1px solid #999;padding:.2em .6em;text-align:left;\
vertical-align:top;overflow-wrap:anywhere}dt{font-weight:bold}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#8882;padding:.4em .8em}";

/// The document as HTML; text from containers stays text.
pub(super) fn write(document: &Document) -> String {
    let title = escape(&document.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    for block in &document.blocks {
        // Writing to a String does not fail.
        let _ = match block {
            Block::Heading(level, text) => {
                writeln!(out, "<h{level}>{}</h{level}>", escape(text))
            }
            Block::Text(text) => writeln!(out, "<p>{}</p>", escape(text)),
            Block::Code(line) => writeln!(out, "<pre>{}</pre>", escape(line)),
            Block::Facts(facts) => {
                out.push_str("<dl>");
                for (name, value) in facts {
                    let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", escape(value));
                }
                writeln!(out, "</dl>")
            }
            Block::Table(columns, rows) => {
                out.push_str("<table><tr>");
                for column in columns {
                    let _ = write!(out, "<th>{column}</th>");
                }
                out.push_str("</tr>\n");
                for row in rows {
                    out.push_str("<tr>");
                    for cell in row {
                        let _ = write!(out, "<td>{}</td>", escape(cell));
                    }
                    out.push_str("</tr>\n");
                }
                writeln!(out, "</table>")
            }
        };
    }
    out.push_str("</body></html>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let mut document = Document::new("<img src=x onerror=1>");
        document.text("\"><script>1</script>&amp;");
        let page = write(&document);
        assert!(
            !page.contains("<img") && !page.contains("<script"),
            "{page}"
        );
        assert!(page.contains("&amp;amp;"), "{page}");
    }
}
