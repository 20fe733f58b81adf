//! The HTTP proxy through which receivers are reached.

use std::path::Path;

use decnet_core::redact::EndpointUrl;
use decnet_sender::Proxy;

use super::layers::Layers;
use super::{Inputs, keys, secret_file, types};

/// Returns the configured proxy, if there is one. Its file is read only by commands that send requests.
pub(super) fn read(layers: &mut Layers, inputs: &Inputs) -> Option<Proxy> {
    let (own, shared) = (layers.find(&keys::NO_PROXY), layers.find(&keys::SHARED_NO_PROXY));
    let (url, file) = (layers.find(&keys::PROXY), layers.find(&keys::PROXY_FILE));
    let is_set = layers.text(keys::PROXY.info.name).is_some();
    if is_set && file.is_some() {
        let (one, other) = (keys::PROXY.info.name, keys::PROXY_FILE.info.name);
        layers.warnings.push(format!("{one} is set, so {other} is not read"));
    }
    let file = file.filter(|_| !is_set && inputs.uses.requests);
    let url = url.or_else(|| {
        let read = from_file(layers, &inputs.working_dir.join(file?));
        read.map_err(|problem| layers.problems.push(problem)).ok()
    })?;
    let exceptions = own.or(shared).unwrap_or_default();
    Some(Proxy::new(&url, &exceptions).expect("the URL was checked when it was parsed"))
}

/// Reads the URL on the first line of a file.
///
/// # Errors
/// The problem, without the user name and the password.
fn from_file(layers: &mut Layers, path: &Path) -> Result<EndpointUrl, String> {
    let name = keys::PROXY_FILE.info.name;
    let text = secret_file::read(layers, name, path)?;
    types::proxy(text.expose()).map_err(|why| format!("{name}: the first line of {} {why}", path.display()))
}
