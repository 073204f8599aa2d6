//! What Rust's standard library offers a program that runs alone: the same text natively and as a cell.
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant, SystemTime};

type Failure = Box<dyn std::error::Error>;

fn collections() {
    let text = "the cell sees the folders it was granted and nothing but the folders it was granted";
    let mut words: HashMap<&str, usize> = HashMap::new();
    for word in text.split_whitespace() {
        *words.entry(word).or_default() += 1;
    }
    let mut list: Vec<_> = words.iter().collect();
    list.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    println!("words {:?}", &list[..5]);
    let by_len: BTreeMap<usize, BTreeSet<&str>> = words.keys().fold(BTreeMap::new(), |mut m, w| {
        m.entry(w.len()).or_insert_with(BTreeSet::new).insert(*w);
        m
    });
    println!("by length {:?}", by_len.range(4..).collect::<Vec<_>>());
    let seen: HashSet<u64> = (0..100_000u64).map(|i| i * i % 10_007).collect();
    println!("squares {}", seen.len());
    let mut heap: BinaryHeap<_> = (0..50).map(|i| (i * 37) % 101).collect();
    let top: Vec<_> = std::iter::from_fn(|| heap.pop()).take(5).collect();
    println!("heap {top:?}");
    let mut queue: VecDeque<i32> = (1..=10).collect();
    queue.rotate_left(3);
    queue.retain(|x| x % 2 == 1);
    println!("queue {queue:?}");
    let mut numbers: Vec<u32> = (0..200_000u32).map(|i| i.wrapping_mul(2_654_435_761) >> 7).collect();
    numbers.sort_unstable();
    numbers.dedup();
    println!("sorted {} {:?} {:?}", numbers.len(), numbers.binary_search(&numbers[777]), numbers.windows(2).all(|w| w[0] < w[1]));
}

struct Node {
    name: String,
    parent: RefCell<Weak<Node>>,
    children: RefCell<Vec<Rc<Node>>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        println!("drop {}", self.name);
    }
}

fn node(name: &str, children: Vec<Rc<Node>>) -> Rc<Node> {
    let made = Rc::new(Node { name: name.to_string(), parent: RefCell::new(Weak::new()), children: RefCell::new(children) });
    for child in made.children.borrow().iter() {
        *child.parent.borrow_mut() = Rc::downgrade(&made);
    }
    made
}

trait Shape {
    fn area(&self) -> f64;
}
struct Circle(f64);
struct Rect {
    w: f64,
    h: f64,
}
impl Shape for Circle {
    fn area(&self) -> f64 {
        std::f64::consts::PI * self.0 * self.0
    }
}
impl Shape for Rect {
    fn area(&self) -> f64 {
        self.w * self.h
    }
}

fn ownership() {
    let leaf = node("leaf", vec![]);
    let root = node("root", vec![leaf.clone(), node("other", vec![])]);
    let parent = leaf.parent.borrow().upgrade().map(|p| p.name.clone());
    println!("parent {parent:?}, counts {} {}", Rc::strong_count(&leaf), Rc::weak_count(&root));
    drop(root);
    println!("orphan {}", leaf.parent.borrow().upgrade().is_none());
    let shapes: Vec<Box<dyn Shape>> = vec![Box::new(Circle(1.5)), Box::new(Rect { w: 2.0, h: 3.25 })];
    println!("areas {:?} {:.3}", shapes.iter().map(|s| s.area()).collect::<Vec<_>>(), shapes.iter().map(|s| s.area()).sum::<f64>());
}

fn numbers() {
    println!("u128 {} {:#x}", u128::MAX / 3, (1u128 << 100) + 12345);
    println!("i64 {:?} {:?} {}", i64::MAX.checked_add(1), i64::MIN.overflowing_neg(), (-7i64).rem_euclid(3));
    println!("bits {} {} {} {:08b}", 40u32.leading_zeros(), 40u64.trailing_zeros(), 0xf0f0u16.count_ones(), 5u8.reverse_bits());
    println!("floats {} {:e} {:?} {} {}", 0.1 + 0.2, 1234.5e10, 1.0f32 / 3.0, f64::MAX, f64::NAN.max(1.0));
    println!("casts {} {} {} {}", -1.5f64 as u8, 300.7f32 as u8, f64::NAN as i32, 1e20 as i64);
    println!("parsed {:?} {:?} {:?}", "12x".parse::<i32>().is_err(), "-0x1f".parse::<i64>().is_err(), "2.5e-3".parse::<f64>());
    println!("roots {:.12} {:.12} {:.12}", 2f64.sqrt(), 2f64.powf(0.3), 0.7f64.sin());
    let text = "grüße, 世界 🦀";
    println!("text {} {} {:?} {:?}", text.len(), text.chars().count(), text.to_uppercase(), text.char_indices().nth(8));
    println!("{:>8}|{:<8}|{:^8}|{:+08.2}|{:#?}", "right", "left", "mid", 3.14159, Some((1, "two")));
}

fn write_all(path: &Path) -> io::Result<()> {
    let mut f = io::BufWriter::new(File::create(path)?);
    for i in 0..10_000 {
        writeln!(f, "{i} {}", i * i)?;
    }
    f.flush()
}

fn files(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir.join("a/b"))?;
    let path = dir.join("a/b/numbers.txt");
    write_all(&path)?;
    println!("bytes {} file {} readonly {}", fs::metadata(&path)?.len(), path.is_file(), fs::metadata(&path)?.permissions().readonly());
    let sum = BufReader::new(File::open(&path)?).lines().map(|l| l.unwrap().split(' ').nth(1).unwrap().parse::<u64>().unwrap()).sum::<u64>();
    println!("sum {sum}");
    let mut f = OpenOptions::new().read(true).write(true).open(&path)?;
    f.seek(SeekFrom::Start(2))?;
    f.write_all(b"XY")?;
    f.seek(SeekFrom::End(-9))?;
    let mut tail = String::new();
    f.read_to_string(&mut tail)?;
    f.set_len(8)?;
    println!("tail {tail:?} head {:?}", fs::read_to_string(&path)?);
    writeln!(OpenOptions::new().append(true).open(&path)?, "end")?;
    fs::copy(&path, dir.join("copy"))?;
    fs::rename(dir.join("copy"), dir.join("a/moved"))?;
    let mut names: Vec<_> = fs::read_dir(dir.join("a"))?.map(|e| e.map(|e| (e.file_name(), e.file_type().unwrap().is_dir()))).collect::<Result<_, _>>()?;
    names.sort();
    println!("names {names:?}");
    println!("moved {:?}", String::from_utf8(fs::read(dir.join("a/moved"))?)?);
    for (what, err) in [
        ("none", File::open(dir.join("none")).unwrap_err()),
        ("again", OpenOptions::new().write(true).create_new(true).open(&path).unwrap_err()),
        ("full", fs::remove_dir(dir.join("a")).unwrap_err()),
    ] {
        println!("{what}: {}", err.to_string().split(" (os").next().unwrap()); // its number is WASI's
    }
    println!("kinds {:?}", File::open(dir.join("none")).unwrap_err().kind());
    fs::remove_dir_all(dir.join("a"))?;
    println!("gone {}", !dir.join("a").exists());
    Ok(())
}

fn clocks() {
    let start = Instant::now();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    println!("clocks {} {}", now > Duration::from_secs(1_600_000_000), start.elapsed() < Duration::from_secs(60));
}

#[derive(Debug)]
struct Odd(i32);
impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} is odd", self.0)
    }
}
impl std::error::Error for Odd {}

fn halve(n: i32) -> Result<i32, Odd> {
    if n % 2 == 0 { Ok(n / 2) } else { Err(Odd(n)) }
}

fn sum_of_input() -> Result<(), Failure> {
    let mut total = 0;
    for line in io::stdin().lock().lines() {
        total += line?.trim().parse::<i64>()?;
    }
    println!("total {total}");
    Ok(())
}

#[inline(never)]
fn deep(n: u64) -> u64 {
    let room = [n; 16];
    let seen = unsafe { std::ptr::read_volatile(&room[(n % 16) as usize]) };
    if seen == u64::MAX { 0 } else { deep(seen + 1) + seen }
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = args.get(1).and_then(|a| a.parse::<i32>().ok()).unwrap_or(0);
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    println!("args {args:?} VALUE {:?}", std::env::var("VALUE"));
    match words[0] {
        "all" => {
            collections();
            ownership();
            numbers();
            files(Path::new(words[1]))?;
            clocks();
        }
        "input" => sum_of_input()?,
        "halve" => println!("{}", halve(number)?),
        "exit" => std::process::exit(number),
        "abort" => std::process::abort(),
        "bounds" => println!("{}", words[number as usize]),
        "divide" => println!("{}", 100 / number),
        "overflow" => println!("{}", i32::MAX - 10 + number),
        "unwrap" => println!("{}", args[1].parse::<i32>().unwrap()),
        "borrow" => {
            let shared = RefCell::new(number);
            let _held = shared.borrow_mut();
            println!("{}", shared.borrow());
        }
        "deep" => println!("{}", deep(number as u64)),
        other => panic!("no such part: {other}"),
    }
    Ok(())
}
