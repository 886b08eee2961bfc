//! What a client of the gateway sees: a response, and a browser's side of the WebSocket.

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// A whole HTTP response as text.
pub(crate) struct Response(pub(crate) String);

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The value of a header, named in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next()?;
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(found, value)| (found.to_ascii_lowercase() == name).then_some(value))
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

/// A browser's side of the signalling WebSocket.
pub(crate) struct Browser(pub(crate) WebSocketStream<TcpStream>);

impl Browser {
    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the gateway reads");
    }

    pub(crate) async fn offer(&mut self) {
        self.say(r#"{"type":"offer","sdp":"offer"}"#).await;
    }

    /// The next text.
    pub(crate) async fn hears(&mut self) -> String {
        loop {
            match self.0.next().await.expect("open").expect("whole") {
                Message::Text(text) => return text.to_string(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Whether the gateway pings before it sends anything else.
    pub(crate) async fn is_pinged(&mut self) -> bool {
        matches!(self.0.next().await, Some(Ok(Message::Ping(_))))
    }

    /// Closes as a page that is done.
    pub(crate) async fn leave(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.0.send(Message::Close(Some(frame))).await.expect("the gateway reads");
        while let Some(Ok(_)) = self.0.next().await {}
    }

    /// The code the gateway closes with.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                end => panic!("{end:?} instead of a close code"),
            }
        }
    }
}
