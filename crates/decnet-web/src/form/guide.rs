//! The vendors' steps, shown beside the form. `docs/destinations/` describes them in full.

/// The texts about one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guide {
    /// The name of the format; empty for requests that carry the events themselves.
    pub format: &'static str,
    /// The name of the destination.
    pub name: &'static str,
    /// What the destination gets, in one line.
    pub summary: &'static str,
    /// What to write into the field of the URL.
    pub url: &'static str,
    /// The steps at the destination.
    pub steps: &'static [&'static str],
    /// The credentials that the destination expects.
    pub credential: Credential,
    /// The page of the documentation.
    pub page: &'static str,
}

/// The credentials that a destination expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// No credential besides the URL.
    None,
    /// A token in `Authorization`, after the name of its scheme.
    Header {
        /// The name of the token at the destination.
        label: &'static str,
        /// The scheme.
        scheme: &'static str,
    },
    /// Usually a user and a password.
    Login,
}

const GUIDES: [Guide; 9] = [
    Guide {
        format: "slack",
        name: "Slack",
        summary: "A message for people in a channel",
        url: "https://hooks.slack.com/services/…",
        steps: &[
            "Open api.slack.com/apps, Create New App, From scratch.",
            "Under Incoming Webhooks, turn on Activate Incoming Webhooks.",
            "Add New Webhook to Workspace, and choose the channel.",
            "Copy the webhook URL. Anyone who has it can post to the channel.",
        ],
        credential: Credential::None,
        page: "slack.md",
    },
    Guide {
        format: "discord",
        name: "Discord",
        summary: "An embed for people in a channel",
        url: "https://discord.com/api/webhooks/…?wait=true",
        steps: &[
            "Open the settings of the channel, Integrations, Webhooks, New Webhook.",
            "Copy Webhook URL. Anyone who has it can post to the channel.",
            "Add ?wait=true to the URL, so that Discord reports errors of saving.",
        ],
        credential: Credential::None,
        page: "discord.md",
    },
    Guide {
        format: "teams",
        name: "Microsoft Teams",
        summary: "An Adaptive Card in a channel or a chat",
        url: "https://….powerplatform.com/…",
        steps: &[
            "Beside the channel, More options (…), Workflows: choose Send webhook alerts to a channel.",
            "Name the workflow, sign in, choose team and channel, and save it.",
            "Copy the whole URL. Anyone who has it can post.",
            "Set a rate such as 2/s: Teams allows few requests.",
        ],
        credential: Credential::None,
        page: "teams.md",
    },
    Guide {
        format: "mattermost",
        name: "Mattermost",
        summary: "A message for people in a channel",
        url: "https://mattermost.example/hooks/…",
        steps: &[
            "Product menu, Integrations, Incoming Webhooks, Add Incoming Webhook.",
            "Name it, choose the channel, and turn on Lock to this channel.",
            "Save it and copy the URL.",
        ],
        credential: Credential::None,
        page: "mattermost.md",
    },
    Guide {
        format: "splunk-hec",
        name: "Splunk",
        summary: "Events for the HTTP Event Collector",
        url: "https://splunk.example:8088",
        steps: &[
            "Settings, Data inputs, HTTP Event Collector, Global Settings: enable all tokens.",
            "New Token: choose the index, and keep the source type automatic.",
            "Copy the token. In Splunk Cloud the URL is https://http-inputs-STACK.splunkcloud.com.",
            "A URL without a path gets /services/collector/event.",
        ],
        credential: Credential::Header { label: "HEC token", scheme: "Splunk" },
        page: "splunk-hec.md",
    },
    Guide {
        format: "elastic",
        name: "Elasticsearch, OpenSearch",
        summary: "Documents with ECS fields for the bulk API",
        url: "https://es.example:9200",
        steps: &[
            "Create an index template for logs-decnet-*, so that attackers do not choose the fields of your index.",
            "Create an API key that may only add documents: the privileges create_doc and auto_configure.",
            "Copy the encoded key. With a user and a password, leave the key empty and use Credentials below.",
            "A URL without a path gets /_bulk.",
        ],
        credential: Credential::Header { label: "API key", scheme: "ApiKey" },
        page: "elastic.md",
    },
    Guide {
        format: "loki",
        name: "Grafana Loki",
        summary: "Log lines for the push API",
        url: "https://loki.example:3100",
        steps: &[
            "Grafana Cloud: open the stack, Loki, Details, and note the URL and the user.",
            "Create a token with the scope logs:write: it is the password of that user.",
            "Your own Loki has no authentication, unless a proxy checks it.",
            "A URL without a path gets /loki/api/v1/push.",
        ],
        credential: Credential::Login,
        page: "loki.md",
    },
    Guide {
        format: "template",
        name: "Your own template",
        summary: "A body that you write, for any other HTTP API",
        url: "https://tickets.example/api/alerts",
        steps: &[
            "Find the request that the API expects, and write its body as a template.",
            "Write texts within quotes as {{ title }}, and all other values as {{ payload.tags|tojson }}.",
            "The preview shows the body for recent events.",
        ],
        credential: Credential::Login,
        page: "template.md",
    },
    Guide {
        format: "",
        name: "Plain webhook",
        summary: "The event as JSON, signed, for a receiver of your own",
        url: "https://siem.example/hook",
        steps: &[
            "Write a receiver that accepts POST with a JSON body, or use a SIEM that reads JSON.",
            "Verify the signature with the secret that is shown after the subscription is created.",
            "Reply 2xx once the event is stored, and remember webhook-id to recognize repetitions.",
        ],
        credential: Credential::None,
        page: "README.md",
    },
];

impl Guide {
    /// Returns the texts about a format; general ones if there are none of its own. `title` is the format's description.
    #[must_use]
    pub fn of(format: &'static str, title: &'static str) -> Self {
        let found = GUIDES.into_iter().find(|guide| guide.format == format);
        let [.., plain] = GUIDES;
        found.unwrap_or(Self { format, name: title, summary: "", steps: &[], ..plain })
    }

    /// Returns the name of the format in addresses.
    #[must_use]
    pub fn parameter(&self) -> &'static str {
        if self.format.is_empty() { super::PLAIN } else { self.format }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_format_needs_no_texts() {
        let guide = Guide::of("syslog", "Syslog over HTTP");
        assert_eq!((guide.name, guide.parameter(), guide.steps.len()), ("Syslog over HTTP", "syslog", 0));
        assert_eq!(Guide::of("", "").parameter(), "plain");
    }
}
