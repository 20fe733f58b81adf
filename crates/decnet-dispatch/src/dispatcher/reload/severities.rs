//! The table of severities, which an operator may keep in a file. The file is read with every reload.

use decnet_store::severity_file::parse;
pub(super) use decnet_store::severity_file::read;

use super::super::Dispatcher;

/// The last content of the file, or the reason why it cannot be used. Both are applied and logged once.
#[derive(Debug, Default)]
pub(super) struct AppliedSeverities {
    content: Option<Result<String, String>>,
}

impl Dispatcher {
    /// Applies the content of the file, if it has changed. A file that cannot be used changes nothing.
    pub(super) fn apply_severities(&mut self, content: Result<String, String>) {
        if self.reload.severities.content.as_ref() == Some(&content) {
            return;
        }
        let table = content.as_ref().map_err(Clone::clone).and_then(|text| parse(text));
        match table {
            Ok(table) => {
                tracing::info!(rows = table.rows().count(), "using the table of severities");
                self.selection.set_severities(table);
                let context = self.selection.render_context();
                self.lanes.values_mut().for_each(|lane| lane.prepare_destination(context));
            }
            Err(error) => {
                tracing::warn!(error, "keeping the severities that were used before; correct the file");
            }
        }
        self.reload.severities.content = Some(content);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::started;
    use super::*;
    use decnet_core::severity::Severity;

    #[tokio::test]
    async fn unusable_file_keeps_the_severities() {
        let dir = tempfile::tempdir().unwrap();
        let mut dispatcher = started(dir.path()).await;
        let path = dir.path().join("severities");
        let severity = |dispatcher: &Dispatcher| {
            dispatcher.selection.render_context().severities.of("attacker.observed")
        };
        let default = severity(&dispatcher);
        assert_ne!(default, Severity::Critical);
        for (content, expected) in [
            ("attacker.> = critical\n", Severity::Critical),
            ("attacker.> = urgent\n", Severity::Critical),
            ("attacker.> = info\n", Severity::Info),
        ] {
            std::fs::write(&path, content).unwrap();
            dispatcher.apply_severities(read(&path));
            assert_eq!(severity(&dispatcher), expected, "{content}");
        }
        dispatcher.apply_severities(read(&dir.path().join("missing")));
        assert_eq!(severity(&dispatcher), Severity::Info);
    }
}
