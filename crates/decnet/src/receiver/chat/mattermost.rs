//! Messages to Mattermost.

use serde::Deserialize;

use super::ChatMessage;
use super::markup::{entities, markdown};

#[derive(Deserialize)]
struct Message {
    attachments: Vec<Attachment>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attachment {
    text: String,
    fields: Vec<Field>,
    footer: String,
}

#[derive(Deserialize)]
struct Field {
    title: String,
    value: String,
}

pub(super) fn read(body: &[u8]) -> Option<ChatMessage> {
    let message: Message = serde_json::from_slice(body).ok()?;
    let attachment = message.attachments.into_iter().next()?;
    let mut message = ChatMessage::from_text(&entities(&markdown(&attachment.text)));
    attachment
        .fields
        .iter()
        .for_each(|field| message.add_fact(&field.title, &entities(&markdown(&field.value))));
    message.add(&attachment.footer);
    Some(message)
}
