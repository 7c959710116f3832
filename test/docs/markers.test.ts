/** The tests of pages notice what they are there for. */
import t from 'tap';
import { faultOf } from './command-line.js';
import { parseMarker } from './marker.js';
import { blocksOf } from './page.js';
import { missingLine } from './page-run.js';
import { sprawlCalls, statements } from './shell-text.js';

t.test('a marker says where a block is run and how it ends', async (t) => {
  const run = { kind: 'run', machine: 'gateway', exitCode: 0, needsGateway: false, isRepeated: false };
  t.same(parseMarker('run'), run);
  t.same(parseMarker('run on mill, until it works'), { ...run, machine: 'mill', isRepeated: true });
  t.same(parseMarker('run, while a gateway runs, ends with 2'), { ...run, needsGateway: true, exitCode: 2 });
  t.same(parseMarker('not run: it takes root'), { kind: 'not run', reason: 'it takes root' });
  t.same(parseMarker('file sprawl.yaml on mill'), { kind: 'file', name: 'sprawl.yaml', machine: 'mill' });
  for (const other of [undefined, 'not run', 'not run: ', 'runs', 'run on', 'Written by a program'])
    t.equal(parseMarker(other), undefined, String(other));
});

t.test('a marker belongs to the block that follows it, and to no other', async (t) => {
  const page =
    'a\n\n<!-- run -->\n\n```sh\none\n```\n\n```sh\ntwo\n```\n\n<!-- run -->\n\ntext\n\n```sh\nthree\n```\n';
  t.same(
    blocksOf('p.md', page).map(({ place, text, marker }) => [place, text, marker]),
    [
      ['p.md:6', 'one', 'run'],
      ['p.md:10', 'two', undefined],
      ['p.md:18', 'three', undefined],
    ],
  );
});

t.test('calls are found where a shell would find them', async (t) => {
  const calls = (text: string): string[] => sprawlCalls(text).map((args) => args.join('|'));
  t.same(calls("npx sprawl-edge sub -t 'site/#' -v # all"), ['sub|-t|site/#|-v']);
  t.same(calls('X=1 sudo -u sprawl sprawl-edge up --set a=b 2>err.log &'), ['up|--set|a=b']);
  t.same(calls('vmstat 1 | sprawl-edge pub -t t -l && sprawl-edge status'), ['pub|-t|t|-l', 'status']);
  t.same(calls('docker exec gw sprawl-edge peers\nssh mill sprawl-edge links'), ['peers', 'links']);
  t.same(calls('id=$(sprawl-edge peers --json | jq -r .self.id)'), ['peers|--json']);
  t.same(calls('sprawl-edge pub -t a \\\n  -m "b \\"c\\""'), ['pub|-t|a|-m|b "c"']);
  for (const other of [
    'systemctl restart sprawl-edge',
    'journalctl -u sprawl-edge -f',
    'useradd sprawl-edge',
    'sudo ln -sf /opt/bin/sprawl-edge.cjs /usr/local/bin/sprawl-edge',
    "cat > unit <<'EOF'\nsprawl-edge nonsense\nEOF",
    '# sprawl-edge nonsense',
  ])
    t.same(calls(other), [], other);
});

t.test('statements go over lines', async (t) => {
  t.same(statements("a \\\n b\n\n# only words, don't count\ncat <<EOF\nx\nEOF\necho 'c\nd'"), [
    'a \\\n b',
    'cat <<EOF\nx\nEOF',
    "echo 'c\nd'",
  ]);
});

t.test('a command line that the program does not take is a fault', async (t) => {
  t.match(faultOf(['statsu']), /unknown command/);
  t.match(faultOf(['status', '--nonsense']), /unknown option --nonsense/);
  t.match(faultOf(['up', '--set', 'mesh.hots=0.0.0.0']), /there is no key "mesh.hots"/);
  t.match(faultOf(['passwd']), /too few arguments/);
  t.equal(faultOf(['passwd'], { mayBeShort: true }), undefined);
  t.equal(faultOf(['up', '--set', 'mesh.host=0.0.0.0']), undefined);
});

t.test('what is printed has the lines of the page, in their order', async (t) => {
  const printed = 'one  1\ntwo 2026 x\nthree\n';
  t.equal(missingLine(printed, 'one 1\ntwo … x\n…'), undefined);
  t.equal(missingLine(printed, 'three\none 1'), 'one 1');
  t.equal(missingLine(printed, 'two'), 'two');
});
