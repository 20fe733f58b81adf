//! Messages to Teams: an Adaptive Card, alone or as an attachment.

use serde::Deserialize;

use super::ChatMessage;
use super::markup::{entities, markdown};

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Attached { attachments: Vec<Attachment> },
    Bare(Card),
}

#[derive(Deserialize)]
struct Attachment {
    content: Card,
}

#[derive(Deserialize)]
struct Card {
    body: Vec<Element>,
    #[serde(default)]
    actions: Vec<Action>,
}

/// A `Container`, a `RichTextBlock` or a `TextBlock`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Element {
    items: Vec<Element>,
    inlines: Vec<Run>,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    text: String,
    select_action: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    title: String,
    url: String,
}

pub(super) fn read(body: &[u8]) -> Option<ChatMessage> {
    let card = match serde_json::from_slice(body).ok()? {
        Message::Attached { attachments } => attachments.into_iter().next()?.content,
        Message::Bare(card) => card,
    };
    let mut lines = ChatMessage::default();
    card.body.iter().for_each(|element| add(element, &mut lines));
    card.actions.iter().for_each(|action| lines.add(&format!("{} <{}>", action.title, action.url)));
    let mut lines = lines.lines.into_iter();
    Some(ChatMessage { title: lines.next().unwrap_or_default(), lines: lines.collect() })
}

/// Adds the lines of an element. Only a `TextBlock` has Markdown.
fn add(element: &Element, message: &mut ChatMessage) {
    element.items.iter().for_each(|item| add(item, message));
    let run = |run: &Run| match &run.select_action {
        Some(action) => format!("{} <{}>", run.text, action.url),
        None => run.text.clone(),
    };
    message.add(&element.inlines.iter().map(run).collect::<String>());
    message.add(&entities(&markdown(&element.text)));
}
