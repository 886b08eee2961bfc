//! `lumen logs`: pages of the supervisor's rings, once or for ever.

use std::time::Duration;

use lumen_ipc::{log::LogSource, process::ExitCode, service::AdminClient};
use tarpc::context;

use super::{
    client::{self, AdminError},
    output,
};
use crate::{admin::ring::Printer, config::InstanceName};

/// How often `--follow` asks for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

pub(super) fn run(
    name: &InstanceName,
    source: Option<LogSource>,
    follow: bool,
) -> Result<ExitCode, AdminError> {
    client::with(name, async |admin| {
        let (mut printer, mut after) = (Printer::default(), 0);
        loop {
            let seen = after;
            after = page(&admin, &mut printer, source, after).await?;
            if after == seen && !follow {
                return Ok(ExitCode::Ok);
            }
            if after == seen {
                tokio::time::sleep(FOLLOW_INTERVAL).await;
            }
        }
    })
}

/// Prints one page and tells the number of its last line.
async fn page(
    admin: &AdminClient,
    printer: &mut Printer,
    source: Option<LogSource>,
    after: u64,
) -> Result<u64, AdminError> {
    let page = admin.logs(context::current(), None, source, after).await?;
    output::print(&printer.print(&page.lines));
    Ok(page.lines.last().map_or(after, |line| line.number))
}
