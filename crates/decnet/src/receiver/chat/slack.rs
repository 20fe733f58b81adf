//! Messages to Slack.

use serde::Deserialize;

use super::ChatMessage;
use super::markup::{entities, slack};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    text: String,
    attachments: Vec<Attachment>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attachment {
    blocks: Vec<Block>,
}

/// A section or a context.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Block {
    text: Option<Text>,
    fields: Vec<Text>,
    elements: Vec<Text>,
}

/// `mrkdwn` or `plain_text`, in which Slack formats nothing.
#[derive(Deserialize)]
struct Text {
    #[serde(default, rename = "type")]
    kind: String,
    text: String,
}

impl Text {
    fn read(&self) -> String {
        if self.kind == "mrkdwn" { slack(&self.text) } else { entities(&self.text) }
    }
}

pub(super) fn read(body: &[u8]) -> Option<ChatMessage> {
    let Message { text, attachments } = serde_json::from_slice(body).ok()?;
    let mut message = ChatMessage::from_text(&slack(&text));
    for block in attachments.into_iter().flat_map(|attachment| attachment.blocks) {
        let texts = block.text.into_iter().chain(block.fields).chain(block.elements);
        texts.for_each(|text| message.add(&text.read()));
    }
    Some(message)
}
