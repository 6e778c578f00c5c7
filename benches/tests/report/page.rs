//! `report.html` in a real Chromium (Debian's package `chromium`), with no way to resolve a name: that it is whole, readable in
//! both colour schemes and at the width of a phone, and asks for nothing from elsewhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::reported;

/// What a page without script cannot tell: a copy gets this script and no content policy.
const PROBE: &str = "<script>
const out = {
  paper: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.querySelector('h1')).color,
  label: getComputedStyle(document.querySelector('#h-latency ~ .multiples text')).fill,
  width: [document.documentElement.scrollWidth, innerWidth],
  unnamed: [...document.querySelectorAll('svg[role=img]')].filter(s => !s.querySelector('title').textContent || !s.querySelector('desc').textContent).length,
  outside: [...document.querySelectorAll('svg[role=img] text')].filter(t => { const b = t.getBBox(), v = t.ownerSVGElement.viewBox.baseVal; return b.x < -6 || b.y < -6 || b.x + b.width > v.width + 6 || b.y + b.height > v.height + 6; }).map(t => t.textContent),
  overlaps: [...document.querySelectorAll('svg[role=img]')].flatMap(s => { const boxes = [...s.querySelectorAll('text')].map(t => [t.textContent, t.getBBox()]); return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([, q]) => p.x < q.x + q.width - 3 && q.x < p.x + p.width - 3 && p.y < q.y + q.height - 9 && q.y < p.y + p.height - 9).map(([b]) => a + ' / ' + b)); }),
};
document.body.dataset.probe = JSON.stringify(out);
</script>";

/// The DOM after loading and what the console said.
fn open(page: &Path, arguments: &[&str]) -> (String, Vec<String>) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args([
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("chromium is installed (apt-get install chromium)");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (String::from_utf8(output.stdout).unwrap(), console)
}

/// The page as it is: everything there, and not a word on the console. A control shows that the console would have spoken.
#[test]
fn the_page_is_whole_and_asks_for_nothing() {
    let (directory, summary) = reported();
    let path = directory.path().join("report.html");
    let page = fs::read_to_string(&path).unwrap();
    assert!(page.len() < 500_000, "{} bytes", page.len());
    for foreign in ["http:", "https:", "src=", "@import", "url(", "<script"] {
        assert!(!page.contains(foreign), "{foreign} in the page");
    }
    let (dom, console) = open(&path, &[]);
    assert!(console.is_empty(), "{console:?}");
    assert!(dom.contains(&format!(">{}</h1>", summary.verdict.headline)), "no headline");
    let plots = dom.matches("role=\"img\"").count();
    assert_eq!(
        plots,
        3 + 3 + 3 + 1 + 4,
        "ratios, percentiles and CPU of three formats, the codec's share, four of the host"
    );
    assert_eq!(dom.matches("<title id=").count(), plots);
    for section in [
        "h-ratios",
        "h-findings",
        "h-latency",
        "h-cpu",
        "h-codec",
        "h-table",
        "h-band",
        "h-host",
        "h-void",
        "h-method",
        "h-machine",
    ] {
        assert!(dom.contains(&format!("id=\"{section}\"")), "no section {section}");
    }
    for row in ["the generator was late", "signal 11", "io_uring is disabled", "Example 2.0 GHz &lt;virtual&gt;"] {
        assert!(dom.contains(row), "no {row}");
    }

    let control = directory.path().join("control.html");
    fs::write(&control, page.replace("</main>", "<img src=\"http://elsewhere.invalid/x.png\" alt=\"\"></main>"))
        .unwrap();
    let (_, console) = open(&control, &[]);
    assert!(console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
}

/// Both schemes and the width of a phone: colours follow, nothing sticks out, no text lies on another.
#[test]
fn the_page_fits_both_schemes_and_a_phone() {
    let (directory, _) = reported();
    let page = fs::read_to_string(directory.path().join("report.html")).unwrap();
    let policy = page.find("<meta http-equiv").unwrap();
    let end = policy + page[policy..].find('>').unwrap() + 1;
    let probed = directory.path().join("probed.html");
    fs::write(&probed, format!("{}{}", &page[..policy], page[end..].replace("</body>", &format!("{PROBE}</body>"))))
        .unwrap();
    let probe = |arguments: &[&str]| -> serde_json::Value {
        let (dom, _) = open(&probed, arguments);
        let start = dom.find("data-probe=\"").expect("the probe ran") + "data-probe=\"".len();
        let text = &dom[start..start + dom[start..].find('"').unwrap()];
        serde_json::from_str(&text.replace("&quot;", "\"").replace("&amp;", "&")).unwrap()
    };
    let light = probe(&["--window-size=1280,900"]);
    let dark = probe(&["--window-size=1280,900", "--blink-settings=preferredColorScheme=0"]);
    let phone = probe(&["--window-size=500,900"]);
    assert_eq!(light["paper"], "rgb(255, 255, 255)");
    assert_eq!(dark["paper"], "rgb(20, 24, 31)");
    assert_ne!(light["label"], dark["label"], "text of plots follows the scheme");
    for seen in [&light, &dark, &phone] {
        assert_eq!(seen["unnamed"], 0);
        assert_eq!(seen["outside"], serde_json::json!([]));
        assert_eq!(seen["overlaps"], serde_json::json!([]));
        assert!(seen["width"][0].as_u64() <= seen["width"][1].as_u64(), "scrolls sideways: {}", seen["width"]);
    }
}
