//! Where an answer may be sent: an address that came in a request.

/// Whether an address is Slack's: of the host of its API, or of that host's `hooks.`. `api` is the API's base address. Slack
/// signed the address, but the task that has it may be anybody's who may invoke the function.
pub(crate) fn is_slacks(url: &str, api: &str) -> bool {
    let Some((scheme, rest)) = api.split_once("://") else { return false };
    let host = rest.split('/').next().unwrap_or(rest);
    let is_clean = url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let own = [format!("{scheme}://{host}/"), format!("{scheme}://hooks.{host}/")];
    is_clean && !host.is_empty() && own.iter().any(|start| url.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_to_slack_only() {
        const API: &str = "https://slack.com/api";
        for (url, expected) in [
            ("https://hooks.slack.com/actions/T1/2/x", true),
            ("https://hooks.slack.com/commands/T1/2/x", true),
            ("https://slack.com/x", true),
            ("http://hooks.slack.com/actions/T1/2/x", false),
            ("https://hooks.slack.com.evil.example/x", false),
            ("https://hooks.slack.com@evil.example/x", false),
            ("https://hooks.slack.com:444/x", false),
            ("https://evil.example/https://hooks.slack.com/", false),
            ("https://other.slack.com/x", false),
            ("https://hooks.slack.com\\@evil.example/", false),
            ("https://hooks.slack.com/\r\nx", false),
            ("https://169.254.169.254/latest", false),
            ("", false),
        ] {
            assert_eq!(is_slacks(url, API), expected, "{url}");
        }
        assert!(is_slacks("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/api"));
        assert!(!is_slacks("http://127.0.0.1:8081/x", "http://127.0.0.1:8080/api"));
        assert!(!is_slacks("https:///x", "https://"));
        assert!(!is_slacks("https://slack.com/x", "slack.com"));
    }
}
