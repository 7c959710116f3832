import t from 'tap';
import { listenFailure } from '../../../lib/contracts/listen-failure.js';
import { type HttpMethod, type Route, RouteTable } from '../../../lib/http/route.js';

function route(method: HttpMethod, path: string): Route {
  return {
    method,
    path,
    summary: '',
    handle: () => ({ status: 200, contentType: 'text/plain', body: `${method} ${path}` }),
  };
}

t.test('a path may have several methods, each its own route', (t) => {
  const [list, kick, health] = [
    route('GET', '/clients'),
    route('DELETE', '/clients'),
    route('POST', '/publish'),
  ];
  const table = new RouteTable([list, kick, health]);
  t.strictSame(table.find('GET', '/clients'), { kind: 'found', method: 'GET', route: list });
  t.strictSame(table.find('HEAD', '/clients'), { kind: 'found', method: 'GET', route: list });
  t.strictSame(table.find('DELETE', '/clients'), { kind: 'found', method: 'DELETE', route: kick });
  t.strictSame(table.find('POST', '/clients'), { kind: 'method', allow: 'DELETE, GET, HEAD' });
  t.strictSame(table.find('HEAD', '/publish'), { kind: 'method', allow: 'POST' });
  t.strictSame(table.find('get', '/clients'), { kind: 'method', allow: 'DELETE, GET, HEAD' });
  t.strictSame(table.find('GET', '/client'), { kind: 'none' });
  t.end();
});

t.test('two routes of one method and path are a bug', (t) => {
  t.throws(() => new RouteTable([route('GET', '/a'), route('GET', '/a')]), /two routes for GET \/a/);
  t.end();
});

t.test('each reason for which a port cannot be opened has its way out', (t) => {
  const place = { listener: 'l', host: 'h', port: 80, hostKey: 'http.host', portKey: 'http.port' };
  const failure = (code: string) => listenFailure(place, Object.assign(new Error(code), { code }));
  for (const [code, text] of [
    ['EADDRINUSE', /^port 80 on h is in use; .* http\.port/],
    ['EACCES', /CAP_NET_BIND_SERVICE/],
    ['EADDRNOTAVAIL', /"ip address" lists/],
    ['ENOTFOUND', /no address: set http\.host/],
    ['EAI_AGAIN', /no address: set http\.host/],
    ['EMFILE', /EMFILE: choose/],
  ] as const) {
    t.match(failure(code).message, text, code);
    t.match(failure(code).details, { code, host: 'h', port: 80 });
  }
  t.match(listenFailure(place, 'text').details, { code: 'unknown' });
  t.end();
});
