//! Request to response.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;

use crate::exposition;
use crate::scrape::{DEADLINE, Scraper, Selection};

/// How Prometheus tells its timeout.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// What is kept of the client's timeout for writing and transfer.
const TRANSFER: f64 = 0.1;

/// Longest query string and most parameters that are looked at.
const QUERY_BYTES: usize = 4096;

/// What the server answers with.
#[derive(Debug)]
pub struct Routes {
    scraper: Scraper,
    telemetry_path: String,
    requests: Semaphore,
}

impl Routes {
    /// Serves pages of `scraper` at `telemetry_path`, `max_requests` at a time.
    pub fn new(scraper: Scraper, telemetry_path: String, max_requests: usize) -> Self {
        Self { scraper, telemetry_path, requests: Semaphore::new(max_requests.min(Semaphore::MAX_PERMITS)) }
    }

    /// The response to one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let path = request.uri().path();
        if let Some(half) = path.strip_prefix(self.telemetry_path.as_str()).and_then(Half::of) {
            self.metrics(&request, half).await
        } else if path == "/healthz" {
            plain(StatusCode::OK, "ok\n")
        } else if path == "/" {
            self.landing()
        } else {
            plain(StatusCode::NOT_FOUND, "not here; see /\n")
        }
    }

    async fn metrics(&self, request: &Request<Incoming>, half: Half) -> Response<Full<Bytes>> {
        let Ok(_permit) = self.requests.try_acquire() else {
            let mut response =
                plain(StatusCode::SERVICE_UNAVAILABLE, "too many scrapes at a time (--web.max-requests)\n");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        };
        let (collect, exclude) = match parameters(request.uri().query().unwrap_or("")) {
            Ok(parameters) => parameters,
            Err(message) => return plain(StatusCode::BAD_REQUEST, message),
        };
        let collect: Vec<&str> = collect.iter().map(String::as_str).collect();
        let exclude: Vec<&str> = exclude.iter().map(String::as_str).collect();
        let selection = match self.scraper.select(&collect, &exclude) {
            Ok(selection) => half.of_selection(selection),
            Err(error) => return plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let page = self.scraper.scrape(selection, deadline(request)).await;
        let mut response = Response::new(Full::new(page));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(exposition::CONTENT_TYPE));
        response
    }

    fn landing(&self) -> Response<Full<Bytes>> {
        let path = escape_html(&self.telemetry_path);
        let version = env!("CARGO_PKG_VERSION");
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>highload-agent</title></head>\
             <body><h1>highload-agent {version}</h1><ul><li><a href=\"{path}\">Metrics</a> (<a href=\"{path}/node\">node</a>, <a href=\"{path}/cadvisor\">containers</a>)</li>\
             <li><a href=\"/healthz\">Health</a></li></ul></body></html>\n"
        );
        let mut response = Response::new(Full::new(Bytes::from(html)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    }
}

/// Which metrics a path shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// `/metrics`.
    Both,
    /// `/metrics/node`: what node_exporter would show.
    Node,
    /// `/metrics/cadvisor`, the path at which dashboards of Kubernetes expect containers.
    Containers,
}

impl Half {
    /// From what follows the telemetry path.
    fn of(rest: &str) -> Option<Self> {
        match rest {
            "" => Some(Self::Both),
            "/node" => Some(Self::Node),
            "/cadvisor" => Some(Self::Containers),
            _ => None,
        }
    }

    fn of_selection(self, selection: Selection) -> Selection {
        match self {
            Self::Both => selection,
            Self::Node => selection.half(false),
            Self::Containers => selection.half(true),
        }
    }
}

/// The scrape's deadline: a little before the client gives up, at most [`DEADLINE`].
fn deadline(request: &Request<Incoming>) -> Duration {
    let asked = request.headers().get(TIMEOUT_HEADER).and_then(|value| value.to_str().ok()?.parse::<f64>().ok());
    match asked {
        Some(seconds) if seconds > 0.0 && seconds.is_finite() => {
            DEADLINE.min(Duration::from_secs_f64((seconds - TRANSFER).max(seconds / 2.0).min(3600.0)))
        }
        _ => DEADLINE,
    }
}

/// The values of `collect[]` and `exclude[]`; other parameters are ignored, as node_exporter does.
fn parameters(query: &str) -> Result<(Vec<String>, Vec<String>), &'static str> {
    if query.len() > QUERY_BYTES {
        return Err("query string longer than 4096 bytes\n");
    }
    let (mut collect, mut exclude) = (Vec::new(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let list = match &*percent_decode_str(name).decode_utf8_lossy() {
            "collect[]" => &mut collect,
            "exclude[]" => &mut exclude,
            _ => continue,
        };
        list.push(percent_decode_str(value).decode_utf8_lossy().into_owned());
    }
    Ok((collect, exclude))
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoded and plain brackets, repeated names, parameters of others.
    #[test]
    fn query_parameters() {
        let (collect, exclude) = parameters("collect%5B%5D=cpu&collect[]=load%61vg&x=1&exclude[]&&=").unwrap();
        assert_eq!((collect, exclude), (vec!["cpu".to_owned(), "loadavg".to_owned()], vec![String::new()]));
        assert!(parameters(&"x".repeat(5000)).is_err());
    }
}
