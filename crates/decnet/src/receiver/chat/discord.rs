//! Messages to Discord.

use serde::Deserialize;

use super::ChatMessage;
use super::markup::markdown;

#[derive(Deserialize)]
struct Message {
    embeds: Vec<Embed>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Embed {
    title: String,
    url: Option<String>,
    description: String,
    timestamp: Option<String>,
    fields: Vec<Field>,
    footer: Option<Footer>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Footer {
    text: String,
}

pub(super) fn read(body: &[u8]) -> Option<ChatMessage> {
    let message: Message = serde_json::from_slice(body).ok()?;
    let embed = message.embeds.into_iter().next()?;
    let mut message = ChatMessage { title: markdown(&embed.title), lines: Vec::new() };
    message.add(&markdown(&embed.description));
    embed.fields.iter().for_each(|field| message.add_fact(&field.name, &markdown(&field.value)));
    let footer = embed.footer.map(|footer| footer.text);
    message.lines.extend(footer.into_iter().chain(embed.timestamp).chain(embed.url));
    Some(message)
}
