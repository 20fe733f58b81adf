//! The format that the settings of a subscription describe.

use decnet_core::settings::{Settings, TemplateSource};

use crate::spec::{Format, FormatError, Grouping};

impl Format {
    /// Creates the format of a subscription; `None` if its requests are plain events. `link_base` is the base of links to this
    /// program's pages.
    ///
    /// # Errors
    /// The format, its options or its template are not valid, or do not fit the other settings.
    pub fn of(settings: &Settings, link_base: Option<&str>) -> Result<Option<Self>, FormatError> {
        let Some(choice) = &settings.format else { return check_plain(settings).map(|()| None) };
        let template = settings.template.as_ref().map(TemplateSource::as_str);
        let format = Self::new(choice.name(), choice.options(), template, link_base)?;
        let name = format.spec().name;
        let unsupported = |what: &str| Err(FormatError::Unsupported(format!("the format {name} {what}")));
        match format.spec().grouping {
            Grouping::Single | Grouping::Digest if settings.batch.is_some() => {
                unsupported("does not support batches; remove the batch settings")
            }
            Grouping::Single | Grouping::Bulk if settings.digest.is_some() => {
                unsupported("does not support digests; remove the digest")
            }
            _ if settings.gzip && !format.spec().accepts_gzip => {
                unsupported("does not accept compressed bodies; turn gzip off")
            }
            _ => Ok(Some(format)),
        }
    }
}

/// Checks the settings of a subscription without a format.
fn check_plain(settings: &Settings) -> Result<(), FormatError> {
    let needs_format = if settings.template.is_some() {
        "a template needs a format; set the format, for instance to template"
    } else if settings.gzip {
        "only requests in a format can be compressed; set a format or turn gzip off"
    } else if settings.digest.is_some() {
        "a digest needs a format for people, such as slack"
    } else {
        return Ok(());
    };
    Err(FormatError::Unsupported(needs_format.to_owned()))
}
