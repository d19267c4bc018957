// The Khronos validator on .glb files: node tests/validate_glb.js FILE ... (needs the npm package gltf-validator).
const validator = require("gltf-validator");
const fs = require("fs");

(async () => {
  for (const file of process.argv.slice(2)) {
    const { issues } = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)));
    console.log(`${file}: ${issues.numErrors} errors, ${issues.numWarnings} warnings`);
    issues.messages.slice(0, 5).forEach((m) => console.log(`  ${m.code} ${m.message} ${m.pointer}`));
    if (issues.numErrors) process.exitCode = 1;
  }
})();
