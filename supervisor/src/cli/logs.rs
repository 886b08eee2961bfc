//! `lumen logs`: pages of the supervisor's ring, once or for ever.

use std::time::Duration;

use lumen_ipc::{
    process::{ExitCode, Worker},
    service::AdminClient,
};
use tarpc::context;

use super::{
    client::{self, AdminError},
    output,
};
use crate::config::InstanceName;

/// How often `--follow` asks for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

pub(super) fn run(
    name: &InstanceName,
    worker: Option<Worker>,
    follow: bool,
) -> Result<ExitCode, AdminError> {
    client::with(name, async |admin| {
        let mut after = 0;
        loop {
            let seen = after;
            after = page(&admin, worker, after).await?;
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
async fn page(admin: &AdminClient, worker: Option<Worker>, after: u64) -> Result<u64, AdminError> {
    let page = admin.logs(context::current(), worker, after).await?;
    let lines = page.lines.iter().map(|line| format!("{}: {}\n", line.process.kind(), line.text));
    output::print(&lines.collect::<String>());
    Ok(page.lines.last().map_or(after, |line| line.number))
}
