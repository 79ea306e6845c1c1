// Writes wide, joined and combining characters, also at the end of rows, for
// the differential test.

const LINES = [
  "😀😃😄😁😆😅🤣😂🙂🙃😉😊😇🥰😍🤩😘😗☺😚😙",
  "👨‍👩‍👧‍👦 👩🏽‍💻 🏳️‍🌈 🇩🇪🇯🇵🇺🇸 1️⃣2️⃣3️⃣ ❤️ ☎️ ✈️ ✌🏿",
  "日本語のテキストは全角文字です。漢字、ひらがな、カタカナ。ﾊﾝｶｸ",
  "한국어 텍스트는 전각 문자입니다. 中文文本是全角字符。",
  "éàô ñ ẹ̄́ Z̵̡a̶l̷g̸o̴ ก็ที่นี่ नमस्ते العربية עברית",
  "x".repeat(79) + "界" + "y".repeat(78) + "é" + "界",
  "a\u200bb\u200dc\ufeffd\u00ade",
];

for (let round = 0; round < 12; round += 1) {
  for (const line of LINES) process.stdout.write(`\x1b[${31 + (round % 6)}m${line}\x1b[0m\n`);
  process.stdout.write(`${LINES[round % LINES.length]} `.repeat(4) + "\n");
}
