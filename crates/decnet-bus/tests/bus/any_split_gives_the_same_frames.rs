//! Properties of the codec: decoding inverts encoding for every split of the stream, and never panics.
use decnet_bus::protocol::{Envelope, Publication, Verb, decode, encode, encode_event, encode_publication};
use proptest::prelude::*;

type Owned = (Verb, String, Vec<u8>);

fn verb() -> impl Strategy<Value = Verb> {
    prop::sample::select(vec![Verb::Hello, Verb::Sub, Verb::Unsub, Verb::Pub, Verb::Evt, Verb::Bye])
}

fn frames() -> impl Strategy<Value = Vec<Owned>> {
    let args = "([!-~]([ -~]{0,20}[!-~])?)?";
    prop::collection::vec((verb(), args, prop::collection::vec(any::<u8>(), 0..200)), 1..20)
}

fn encoded(frames: &[Owned]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (verb, args, body) in frames {
        encode(&mut stream, *verb, args, body).unwrap();
    }
    stream
}

/// Decodes as a reader does, with the bytes available after each read.
fn decoded(stream: &[u8], cuts: &[usize]) -> Vec<Owned> {
    let (mut out, mut buffer, mut rest, mut cuts) = (Vec::new(), Vec::new(), stream, cuts.iter().cycle());
    while !rest.is_empty() {
        let (read, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
        buffer.extend_from_slice(read);
        rest = later;
        while let Some((frame, len)) = decode(&buffer).unwrap() {
            out.push((frame.verb, frame.args.to_owned(), frame.body.to_vec()));
            buffer.drain(..len);
        }
    }
    assert!(buffer.is_empty(), "bytes are left over");
    out
}

proptest! {
    #[test]
    fn every_split_decodes_to_the_same_frames(
        frames in frames(), cuts in prop::collection::vec(1usize..300, 1..10),
    ) {
        let stream = encoded(&frames);
        prop_assert_eq!(&decoded(&stream, &cuts), &frames);
        prop_assert_eq!(&decoded(&stream, &[1]), &frames);
        prop_assert_eq!(&decoded(&stream, &[usize::MAX]), &frames);
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
    }

    #[test]
    fn damaged_frames_never_panic(frames in frames(), at: prop::sample::Index, byte: u8) {
        let mut stream = encoded(&frames);
        let at = at.index(stream.len());
        stream[at] = byte;
        let mut rest = stream.as_slice();
        while let Ok(Some((frame, len))) = decode(rest) {
            let _ = Publication::parse(frame.body);
            rest = &rest[len..];
        }
    }

    #[test]
    fn a_publication_is_relayed_verbatim(kind in ".{1,10}", text in ".*", number: i64) {
        let payload = serde_json::json!({"text": text, "list": [number, null]});
        let mut out = Vec::new();
        encode_publication(&mut out, "a.b", &kind, &payload).unwrap();
        let (frame, _) = decode(&out).unwrap().unwrap();
        let event = Publication::parse(frame.body).unwrap();
        let mut evt = Vec::new();
        let id = "0123456789abcdef0123456789abcdef";
        let envelope = Envelope { id, micros: 1_500_000, kind: event.kind, payload: event.payload };
        encode_event(&mut evt, frame.args, &envelope).unwrap();
        let (frame, _) = decode(&evt).unwrap().unwrap();
        let body: serde_json::Value = serde_json::from_slice(frame.body).unwrap();
        let expected = serde_json::json!(
            {"v": 1, "id": id, "topic": "a.b", "type": kind, "ts": 1.5, "payload": payload}
        );
        prop_assert_eq!(body, expected);
    }
}
