// What JavaScript makes of cookies, as a table for the Go tests:
//   node testdata/javascript.mjs > testdata/javascript.json
// Cookies are texts of JSON, since not every one has an equal in Go.
const numbers = [
  '0', '-0', '1', '-1', '10', '9', '0.1', '1.5', '-2.5', '1e3', '1E+3', '100000000000000000000',
  '1e21', '123456789012345680000', '1.2345678901234568e+24', '1e-6', '0.000001234', '1e-7',
  '1.5e-7', '-1e-7', '5e-324', '1.7976931348623157e308', '1e999', '-1e999', '9007199254740991',
  '9007199254740993', '0.30000000000000004', '123e-20', '4.35', '1e100', '1e-100',
];
const cookies = [
  'null', ...numbers, '""', '"10"', '"9"', '"a"', '"A"', '"1e+21"', '"Infinity"', '"a/0000000000000001"',
  '"\u00e9"', '"\\u00e9"', '"\ufffd"', '"\u{1f600}"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ude00\\ud83d"',
  '"\\ud83d\\u0041"', '"\\""', '"\\n\\t\\/\\b\\f\\r\\\\"',
  ...['3', '30', '"3"', '"\\ud83d"', '1e21', '-0'].map(order => `{"order":${order}}`),
  '{"version":1,"order":7,"epoch":"e"}', '{"\\u006frder":8}',
];
const orderOf = cookie => (cookie !== null && typeof cookie === 'object' ? cookie.order : cookie);
function compare(left, right) {
  const [a, b] = [orderOf(JSON.parse(left)), orderOf(JSON.parse(right))];
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  if (typeof a === 'number' && typeof b === 'number') return Math.sign(a - b) || 0;
  const [s, t] = [String(a), String(b)];
  return s < t ? -1 : s > t ? 1 : 0;
}
// One line for each cookie: its text, then its comparison with each, as <, = or >.
const rows = cookies.map(a => [a, cookies.map(b => '<=>'[compare(a, b) + 1]).join('')]);
const strings = numbers.map(n => [n, String(JSON.parse(n))]);
const lines = list => '[\n' + list.map(row => '  ' + JSON.stringify(row)).join(',\n') + '\n ]';
console.log(`{\n "numbers": ${lines(strings)},\n "compare": ${lines(rows)}\n}`);
