import fs from 'node:fs';
import http from 'node:http';

// Everything that a program may try through files and programs; see makes-raw-system-calls for the rest.
const got = [];
const attempt = (name, act) => {
  try {
    act();
    got.push(name);
  } catch {
    /* it was refused */
  }
};
const write = (file, text) => attempt(file, () => fs.writeFileSync(file, text));
attempt('setuid', () => process.setuid(0));
attempt('seteuid', () => process.seteuid(0));
attempt('setgid', () => process.setgid(0));
attempt('setgroups', () => process.setgroups([0]));
attempt('initgroups', () => process.initgroups('root', 0));
attempt('shadow', () => fs.readFileSync('/etc/shadow'));
attempt('memory', () => fs.openSync('/dev/mem', 'r+'));
attempt('kernel memory', () => fs.openSync('/proc/kcore', 'r'));
attempt('disks', () => fs.readdirSync('/dev').filter((name) => /^(sd|vd|nvme|xvd|loop|dm-|kmsg|mem|port|fuse|kvm|net)/.test(name)).forEach((name) => fs.openSync(`/dev/${name}`, 'r')) || null.refused);
write('/proc/sys/kernel/core_pattern', '|/tmp/owned');
write('/proc/sys/kernel/hostname', 'owned');
write('/proc/sys/vm/overcommit_memory', '1');
write('/proc/sys/net/ipv4/ip_forward', '1');
write('/proc/sysrq-trigger', 'h');
write('/proc/1/oom_score_adj', '1000');
write('/proc/self/oom_score_adj', '-1000');
write('/proc/self/uid_map', '0 0 1');
write('/sys/kernel/uevent_helper', '/tmp/owned');
for (const controller of ['', 'memory', 'pids', 'cpu', 'devices', 'freezer', 'rdma', 'unified']) {
  const folder = `/sys/fs/cgroup/${controller}`;
  for (const [file, text] of [['release_agent', '/tmp/owned'], ['notify_on_release', '1'], ['memory.limit_in_bytes', '-1'], ['memory.max', 'max'], ['pids.max', 'max'], ['cpu.cfs_quota_us', '-1'], ['cpu.max', 'max'], ['devices.allow', 'a'], ['freezer.state', 'FROZEN'], ['cgroup.procs', '1'], ['cgroup.kill', '1'], ['tasks', '1']]) {
    if (fs.existsSync(folder)) write(`${folder}/${file}`, text);
  }
  if (fs.existsSync(folder)) attempt(`${folder}/mine`, () => fs.mkdirSync(`${folder}/mine`));
}
console.log(`got: ${got.join(' | ') || 'nothing'}`);
http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
