#!/usr/bin/env node
'use strict';

// CommonJS and old syntax on purpose: an old Node must get as far as the message below.
var OLDEST = [20, 11];
var FAILED = 1;

function fail(message) {
  process.stderr.write('sprawl-edge: ' + message + '\n');
  process.exit(FAILED);
}

var version = process.versions.node.split('.').map(Number);
if (version[0] < OLDEST[0] || (version[0] === OLDEST[0] && version[1] < OLDEST[1])) {
  fail(
    'Node ' +
      OLDEST.join('.') +
      ' or newer is needed, this is ' +
      process.versions.node +
      ' (' +
      process.execPath +
      ')',
  );
}

// Password hashes, file syncs and name look-ups share libuv's thread pool; its size is read once, at its first use.
if (process.env.UV_THREADPOOL_SIZE === undefined) process.env.UV_THREADPOOL_SIZE = '16';

// The version of the AWS SDK that is pinned here runs on Node 20; that later ones will not is for those who make releases.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

// Node 20 warns of JSON modules, which dependencies import; it helps nobody who runs a gateway.
var emitWarning = process.emitWarning;
process.emitWarning = function (warning, type) {
  var name = typeof type === 'object' && type !== null ? type.type : type;
  if (name === 'ExperimentalWarning' && /\bJSON modules\b/.test(String(warning))) return undefined;
  return emitWarning.apply(process, arguments);
};

// Until the gateway listens for it a SIGHUP would end the process; what it asks for, to read the files again, has not been read yet.
if (process.argv[2] === 'up' || process.argv[2] === 'join') process.on('SIGHUP', function () {});

var path = require('path');
var main = path.join(__dirname, '..', 'dist', 'lib', 'cli', 'main.js');
if (!require('fs').existsSync(main)) {
  fail('the program is not built: run "npm run build" in ' + path.dirname(__dirname));
}

import(require('url').pathToFileURL(main).href)
  .then(function (program) {
    return program.runProcess();
  })
  .catch(function (error) {
    process.stderr.write('sprawl-edge: a bug: ' + (error && error.stack ? error.stack : error) + '\n');
    process.exit(70);
  });
