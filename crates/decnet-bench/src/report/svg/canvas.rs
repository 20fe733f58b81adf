//! Shapes and texts, from the top downwards.

/// Pixels.
pub(super) const WIDTH: f64 = 760.0;
pub(super) const MARGIN: f64 = 16.0;
pub(super) const SUBJECT: &str = "#2563a8";
pub(super) const REFERENCE: &str = "#b9c4d0";
pub(super) const TEXT: &str = "#222";
pub(super) const FAINT: &str = "#ddd";
/// Of curves, by turns.
pub(super) const COLOURS: [&str; 4] = ["#2563a8", "#c05621", "#2f855a", "#6b46c1"];

/// A picture that grows downwards.
pub(super) struct Canvas {
    body: String,
    /// Where the next thing goes.
    pub(super) y: f64,
}

/// Where a text is anchored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self { body: String::new(), y: MARGIN }
    }

    pub(super) fn down(&mut self, pixels: f64) {
        self.y += pixels;
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.y += 14.0;
        let y = self.y;
        self.body += &format!(
            "<text x=\"{MARGIN}\" y=\"{y:.1}\" font-weight=\"bold\" fill=\"{TEXT}\">{}</text>\n",
            escaped(text)
        );
        self.y += 12.0;
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.body += &format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{TEXT}\">{}</text>\n",
            escaped(text)
        );
    }

    pub(super) fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
        self.body += &format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>\n"
        );
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.body += &format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{FAINT}\"/>\n"
        );
    }

    pub(super) fn curve(&mut self, points: &[(f64, f64)], colour: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        self.body += &format!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n"
        );
    }

    pub(super) fn finish(self) -> String {
        let (height, body) = (self.y + MARGIN, self.body);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
             <rect x=\"0\" y=\"0\" width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#fff\"/>\n{body}</svg>\n"
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
