//! Descriptions of errors for operators. Texts of libraries are not shown: they contain type names and links to the
//! library's documentation, or omit details.

use std::borrow::Cow;
use std::io;

use decnet_core::limits::MAX_REPLY_HEADER_BYTES;
use decnet_core::time::UnixMicros;
use h2::Reason as Code;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription as Alert, CertificateError, InvalidMessage};

use crate::verifier::UntrustedCa;

type Text = Cow<'static, str>;

/// The maximum number of a certificate's names in a text; a certificate may contain hundreds.
const MAX_NAMES: usize = 5;
/// The maximum length of a name in a text, in characters. Names are chosen by the receiver.
const MAX_NAME_CHARS: usize = 80;

const CLIENT_CERTIFICATE: &str = "the receiver requires a client certificate, and decnet has none to present";
const CLIENT_CERTIFICATE_REJECTED: &str =
    "the receiver does not accept the client certificate, or requires one";

/// Describes an error of a read, a write or a `connect`.
pub(crate) fn io(error: &io::Error) -> Text {
    if let Some(cause) = tls_cause(error) {
        return tls(cause);
    }
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::ConnectionAborted => "connection aborted",
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "connection closed by the receiver",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::NetworkDown => "network down",
        io::ErrorKind::TimedOut => "connection timed out",
        io::ErrorKind::AddrNotAvailable => "this host has no address from which the receiver can be reached",
        io::ErrorKind::PermissionDenied => "this host's firewall or security policy forbids the connection",
        _ => return system(error),
    };
    text.into()
}

/// Returns the TLS error inside an I/O error, if there is one.
pub(crate) fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Describes an error by the system's text, without its number.
fn system(error: &io::Error) -> Text {
    let Some(code) = error.raw_os_error() else { return "input/output error".into() };
    let text = io::Error::from_raw_os_error(code).to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
    text.into()
}

/// Describes why the lookup of a host name failed. The C library's resolver reports its errors only as texts.
pub(crate) fn lookup(error: &io::Error) -> Text {
    const FAILED: &[&str] = &["temporary failure", "try again"];
    const NOT_FOUND: &[&str] =
        &["not known", "does not resolve", "no address associated", "has no usable address"];
    let text = error.to_string().to_lowercase();
    let is = |texts: &[&str]| texts.iter().any(|part| text.contains(part));
    match error.raw_os_error() {
        Some(_) => io(error),
        None if is(FAILED) => "the name servers did not answer, or failed".into(),
        None if is(NOT_FOUND) => "the name does not exist, or has no address".into(),
        None => "the name servers refused or failed".into(),
    }
}

/// Describes a failure of TLS, in the handshake or later.
pub(crate) fn tls(error: &rustls::Error) -> Text {
    use rustls::Error;
    let text = match error {
        Error::AlertReceived(received) => return alert(*received),
        Error::InvalidCertificate(problem) => return certificate(problem),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the port does not speak TLS; use http:// if that is intended"
        }
        Error::PeerIncompatible(_) => {
            "the receiver supports none of decnet's TLS versions (1.2 and 1.3) and ciphers"
        }
        Error::NoCertificatesPresented => "the receiver presented no certificate",
        Error::DecryptError => "the receiver sent data that cannot be decrypted",
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::InvalidMessage(_)
        | Error::PeerMisbehaved(_)
        | Error::PeerSentOversizedRecord => "the receiver violated the TLS protocol",
        Error::FailedToGetCurrentTime => "this host's clock cannot be read",
        Error::FailedToGetRandomBytes => "this host's random number generator failed",
        _ => "TLS failed",
    };
    text.into()
}

/// Describes an alert that the receiver sent (RFC 8446 section 6.2).
fn alert(alert: Alert) -> Text {
    let text = match alert {
        Alert::CertificateRequired | Alert::NoCertificate => CLIENT_CERTIFICATE,
        // These alerts concern the client's certificate, which may be empty.
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA => CLIENT_CERTIFICATE_REJECTED,
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            "the receiver accepts none of decnet's TLS versions (1.2 and 1.3) and ciphers"
        }
        Alert::UnrecognisedName => "the receiver does not serve this host name",
        Alert::NoApplicationProtocol => "the receiver speaks neither HTTP/2 nor HTTP/1.1 on this port",
        Alert::InternalError => "the receiver reports an internal error",
        other => {
            return format!("the receiver refused the connection (TLS alert {})", alert_name(other)).into();
        }
    };
    text.into()
}

/// Returns the alert's name as in RFC 8446, or its number.
fn alert_name(alert: Alert) -> String {
    if let Alert::Unknown(number) = alert {
        return number.to_string();
    }
    let (mut name, mut follows_lower) = (String::new(), false);
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && follows_lower {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
        follows_lower = letter.is_ascii_lowercase();
    }
    name
}

/// Describes an alert that ended a handshake in which the receiver requested a client certificate, if the alert may concern that
/// certificate.
pub(crate) fn alert_after_certificate_request(error: &rustls::Error) -> Option<Text> {
    let concerns_certificate = matches!(
        error,
        rustls::Error::AlertReceived(
            Alert::HandshakeFailure
                | Alert::AccessDenied
                | Alert::UnknownCA
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateUnknown
        )
    );
    concerns_certificate.then(|| CLIENT_CERTIFICATE.into())
}

/// Describes the problem with a receiver's certificate.
fn certificate(problem: &CertificateError) -> Text {
    use CertificateError as Problem;
    let text = match problem {
        Problem::ExpiredContext { time, not_after } => {
            return format!("the certificate expired on {}; {}", date(*not_after), host_clock(*time)).into();
        }
        Problem::NotValidYetContext { time, not_before } => {
            return format!(
                "the certificate is not valid before {}; {}",
                date(*not_before),
                host_clock(*time)
            )
            .into();
        }
        Problem::NotValidForNameContext { expected, presented } => {
            return name_mismatch(&expected.to_str(), presented).into();
        }
        Problem::Expired => "the certificate expired",
        Problem::NotValidYet => "the certificate is not valid yet",
        Problem::NotValidForName => "the certificate is for another host name",
        Problem::UnknownIssuer => {
            "the certificate's issuer is unknown; add its root certificate to this system's trusted roots, or to --trust-roots"
        }
        Problem::Revoked => "the certificate is revoked",
        Problem::InvalidPurpose | Problem::InvalidPurposeContext { .. } => {
            "the certificate is not valid for servers (extended key usage)"
        }
        Problem::BadEncoding => "the certificate is malformed",
        Problem::BadSignature => "a signature in the certificate chain is not valid",
        Problem::UnhandledCriticalExtension => {
            "the certificate has a critical extension that decnet does not support"
        }
        Problem::UnsupportedSignatureAlgorithmContext { .. }
        | Problem::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the certificate uses a signature algorithm that decnet does not accept"
        }
        Problem::Other(other) => return other_problem(&*other.0),
        _ => "the certificate cannot be verified",
    };
    text.into()
}

fn other_problem(problem: &(dyn std::error::Error + 'static)) -> Text {
    if problem.is::<UntrustedCa>() {
        return "the certificate is a CA certificate (CA:TRUE) and not a trusted root itself; add it to this system's \
                trusted roots, or give the receiver a server certificate (CA:FALSE)"
            .into();
    }
    match problem.downcast_ref() {
        Some(webpki::Error::UnsupportedCertVersion) => "the certificate is not X.509 version 3".into(),
        _ => "the certificate cannot be verified".into(),
    }
}

/// Describes the names in the certificate, and the name that was expected.
fn name_mismatch(expected: &str, presented: &[String]) -> String {
    if presented.is_empty() {
        return format!("the certificate names no host (subjectAltName), and {expected} was expected");
    }
    let names: Vec<String> = presented.iter().take(MAX_NAMES).map(|name| plain_name(name)).collect();
    let more = match presented.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("the certificate is for {}{more}, and {expected} was expected", names.join(", "))
}

/// Returns the name in a text such as `DnsName("a.example")`. The receiver chooses it, so characters that are not printable
/// ASCII are replaced.
fn plain_name(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    let inner = inner.trim_matches('"').chars().take(MAX_NAME_CHARS);
    inner.map(|letter| if letter.is_ascii_graphic() { letter } else { '?' }).collect()
}

fn date(time: UnixTime) -> String {
    let micros = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    format!("{} UTC", UnixMicros(micros).to_sqlite().chars().take(19).collect::<String>())
}

fn host_clock(now: UnixTime) -> String {
    format!("this host's clock says {}", date(now))
}

/// The beginning of the text of an alert. The h2 crate keeps only the kind and the text of an I/O error.
const ALERT_PREFIX: &str = "received fatal alert: ";

/// Returns whether an HTTP/2 request failed because the receiver sent a TLS alert.
pub(crate) fn is_alert(error: &h2::Error) -> bool {
    error.get_io().is_some_and(|cause| cause.to_string().starts_with(ALERT_PREFIX))
}

fn http2_io(error: &io::Error) -> Text {
    match error.to_string().strip_prefix(ALERT_PREFIX) {
        Some("CertificateRequired") => CLIENT_CERTIFICATE.into(),
        Some(
            "BadCertificate"
            | "UnsupportedCertificate"
            | "CertificateRevoked"
            | "CertificateExpired"
            | "CertificateUnknown"
            | "UnknownCA",
        ) => CLIENT_CERTIFICATE_REJECTED.into(),
        Some(_) => "the receiver refused the connection (TLS alert)".into(),
        None => io(error),
    }
}

/// Describes an error of an HTTP/2 connection or request.
pub(crate) fn http2(error: &h2::Error) -> Text {
    if let Some(error) = error.get_io() {
        return http2_io(error);
    }
    let code = error.reason().unwrap_or(Code::INTERNAL_ERROR);
    if error.is_library() {
        return violation(code, error.is_reset(), &error.to_string());
    }
    let text = match code {
        Code::NO_ERROR => "the receiver closed the connection",
        Code::REFUSED_STREAM => "the receiver refused the request: too many requests at once",
        Code::CANCEL => "the receiver cancelled the request",
        Code::ENHANCE_YOUR_CALM => "the receiver asks for fewer requests",
        Code::HTTP_1_1_REQUIRED => "the receiver requires HTTP/1.1",
        Code::INADEQUATE_SECURITY => "the receiver requires a stronger TLS cipher",
        Code::INTERNAL_ERROR => "the receiver reports an internal error",
        other => return format!("the receiver reports HTTP/2 error {}", code_name(other)).into(),
    };
    text.into()
}

/// Describes a violation of HTTP/2 by the receiver, in one stream or for the whole connection.
///
/// h2 resets a stream with `PROTOCOL_ERROR` and without a detail both for malformed headers and for headers of up to four times
/// the limit, so the text names both. It reports larger headers by the debug data in the `text`.
fn violation(code: Code, in_a_stream: bool, text: &str) -> Text {
    match code {
        Code::ENHANCE_YOUR_CALM if is_about_headers(text) => "the reply's headers are too large".into(),
        Code::ENHANCE_YOUR_CALM => "the receiver sent too many frames".into(),
        Code::PROTOCOL_ERROR if in_a_stream => format!(
            "the reply's headers are too large (more than {MAX_REPLY_HEADER_BYTES} bytes) or malformed (HTTP/2 forbids \
             `connection` and `transfer-encoding`, for example)"
        )
        .into(),
        _ => format!("the receiver violated the HTTP/2 protocol ({})", code_name(code)).into(),
    }
}

/// Returns whether the debug data in an error's text reports headers that are far too large.
pub(crate) fn is_about_headers(text: &str) -> bool {
    ["header_list_way_too_large", "too_many_continuations"].iter().any(|data| text.contains(data))
}

/// Returns the code's name as in RFC 9113 section 7, or its number.
pub(crate) fn code_name(code: Code) -> String {
    let name = format!("{code:?}");
    if name.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'0'..=b'9')) {
        name
    } else {
        u32::from(code).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;
    use rustls::{OtherError, PeerIncompatible, PeerMisbehaved};

    use super::*;

    fn mismatch(presented: &[&str]) -> String {
        let expected = ServerName::try_from("hook.test").unwrap();
        let presented = presented.iter().map(ToString::to_string).collect();
        certificate(&CertificateError::NotValidForNameContext { expected, presented }).into_owned()
    }

    fn alerts() -> impl Iterator<Item = Alert> {
        (0..=u8::MAX).map(Alert::from)
    }

    fn certificate_problems() -> Vec<CertificateError> {
        use CertificateError as Problem;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_700_000_000));
        vec![
            Problem::BadEncoding,
            Problem::Expired,
            Problem::ExpiredContext { time, not_after: time },
            Problem::NotValidYet,
            Problem::NotValidYetContext { time, not_before: time },
            Problem::Revoked,
            Problem::UnhandledCriticalExtension,
            Problem::UnknownIssuer,
            Problem::UnknownRevocationStatus,
            Problem::BadSignature,
            Problem::NotValidForName,
            Problem::InvalidPurpose,
            Problem::ApplicationVerificationFailure,
            Problem::Other(OtherError(Arc::new(UntrustedCa))),
            Problem::Other(OtherError(Arc::new(webpki::Error::UnsupportedCertVersion))),
            Problem::Other(OtherError(Arc::new(webpki::Error::PathLenConstraintViolated))),
        ]
    }

    fn tls_errors() -> Vec<rustls::Error> {
        use rustls::Error;
        let mut errors = vec![
            Error::InappropriateMessage { expect_types: vec![], got_type: 23.into() },
            Error::InappropriateHandshakeMessage { expect_types: vec![], got_type: 1.into() },
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            Error::InvalidMessage(InvalidMessage::MessageTooLarge),
            Error::NoCertificatesPresented,
            Error::UnsupportedNameType,
            Error::DecryptError,
            Error::EncryptError,
            Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered),
            Error::PeerMisbehaved(PeerMisbehaved::TooMuchEarlyDataReceived),
            Error::General("see https://docs.rs/rustls".into()),
            Error::FailedToGetCurrentTime,
            Error::FailedToGetRandomBytes,
            Error::HandshakeNotComplete,
            Error::PeerSentOversizedRecord,
            Error::NoApplicationProtocol,
            Error::BadMaxFragmentSize,
        ];
        errors.extend(certificate_problems().into_iter().map(Error::InvalidCertificate));
        errors.extend(alerts().map(Error::AlertReceived));
        errors
    }

    fn io_errors() -> Vec<io::Error> {
        let of_tls = tls_errors().into_iter().map(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        let of_the_system = (1..=133).map(io::Error::from_raw_os_error);
        let link = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/";
        let of_a_library = [
            io::Error::new(io::ErrorKind::UnexpectedEof, link),
            io::Error::new(io::ErrorKind::InvalidData, link),
            io::Error::other(link),
        ];
        of_tls.chain(of_the_system).chain(of_a_library).collect()
    }

    fn http2_errors() -> Vec<h2::Error> {
        (0..=0x20).map(|code| Code::from(code).into()).collect()
    }

    /// Asserts that a text contains no link, no type of a library, and no `Debug` output.
    #[track_caller]
    fn assert_plain(text: &str, of: &dyn std::fmt::Debug) {
        let is_plain = !text.is_empty()
            && !text.contains("http://docs")
            && !text.contains("https://")
            && !text.contains("os error")
            && !text.contains("rustls")
            && !text.contains("::")
            && !text.contains('{');
        let camel = text
            .as_bytes()
            .windows(2)
            .any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
        // `subjectAltName` is a term of X.509.
        assert!(is_plain && (!camel || text.contains("subjectAltName")), "{text:?} of {of:?}");
        assert!(!text.ends_with('.') && !text.contains('\n'), "{text:?}");
    }

    #[test]
    fn texts_of_libraries_are_not_shown() {
        for error in tls_errors() {
            assert_plain(&tls(&error), &error);
        }
        for error in io_errors() {
            assert_plain(&io(&error), &error);
            assert_plain(&lookup(&error), &error);
            assert_plain(&http2_io(&error), &error);
        }
        for error in http2_errors() {
            assert_plain(&http2(&error), &error);
        }
        for code in (0..=0x20).map(Code::from) {
            assert_plain(&violation(code, true, ""), &code);
            assert_plain(&violation(code, false, ""), &code);
        }
    }

    #[test]
    fn certificate_texts_give_names_and_dates() {
        assert_eq!(
            mismatch(&["DnsName(\"a.test\")", "IpAddress(127.0.0.1)"]),
            "the certificate is for a.test, 127.0.0.1, and hook.test was expected"
        );
        assert_eq!(
            mismatch(&[]),
            "the certificate names no host (subjectAltName), and hook.test was expected"
        );
        let many: Vec<String> = (0..9).map(|n| format!("DnsName(\"{n}.test\")")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(mismatch(&many).contains("4.test and 4 more, and hook.test"), "{}", mismatch(&many));
        let odd = format!("DnsName(\"\u{1b}[2J{}\")", "x".repeat(1000));
        assert!(mismatch(&[&odd]).starts_with("the certificate is for ?[2Jxxx"));
        assert!(mismatch(&[&odd]).len() < 200);

        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let expired =
            CertificateError::ExpiredContext { time: at(1_000_000_000), not_after: at(999_999_999) };
        assert_eq!(
            certificate(&expired),
            "the certificate expired on 2001-09-09 01:46:39 UTC; this host's clock says 2001-09-09 01:46:40 UTC"
        );
        let early = CertificateError::NotValidYetContext { time: at(0), not_before: at(86_400) };
        assert_eq!(
            certificate(&early),
            "the certificate is not valid before 1970-01-02 00:00:00 UTC; this host's clock says 1970-01-01 00:00:00 UTC"
        );
    }

    #[test]
    fn alerts_have_the_names_of_rfc_8446() {
        assert_eq!(alert_name(Alert::UnexpectedMessage), "unexpected_message");
        assert_eq!(alert_name(Alert::UnknownCA), "unknown_ca");
        assert_eq!(alert_name(Alert::from(200)), "200");
        assert!(alert(Alert::CertificateRequired).contains("requires a client certificate"));
    }

    #[test]
    fn http2_codes_have_the_names_of_rfc_9113() {
        assert_eq!(code_name(Code::FLOW_CONTROL_ERROR), "FLOW_CONTROL_ERROR");
        assert_eq!(code_name(Code::HTTP_1_1_REQUIRED), "HTTP_1_1_REQUIRED");
        assert_eq!(code_name(Code::from(77)), "77");
        assert!(http2(&Code::REFUSED_STREAM.into()).contains("too many requests at once"));
    }

    #[test]
    fn lookup_failures_are_distinguished() {
        let failed =
            |text: &str| lookup(&io::Error::other(format!("failed to lookup address information: {text}")));
        for text in ["Temporary failure in name resolution", "Try again"] {
            assert_eq!(failed(text), "the name servers did not answer, or failed");
        }
        for text in
            ["Name or service not known", "Name does not resolve", "No address associated with hostname"]
        {
            assert_eq!(failed(text), "the name does not exist, or has no address");
        }
        assert_eq!(
            failed("Non-recoverable failure in name resolution"),
            "the name servers refused or failed"
        );
    }
}
